"""Derives pictures in other sizes and formats on first request, and stores them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from safelight import ids
from safelight.accounts import signing
from safelight.accounts.signatures import Signatures
from safelight.assets.asset import Asset, AssetKind
from safelight.assets.derived import variant_store
from safelight.assets.derived.making import Made, Making, MakingRules, Wanted
from safelight.assets.derived.variant_store import Source, Variant
from safelight.assets.errors import NoPublicPicture, SignatureInvalid
from safelight.assets.keys import EXTENSIONS, is_public, media_type_of
from safelight.cpu import CpuPool, Limits
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.media.pictures.picture import Picture
from safelight.media.pictures.spec import Spec, VariantOrder, negotiate, order
from safelight.media.pictures.transform import SMALL_BYTES, fits_memory, transform
from safelight.media.source import read_small
from safelight.storage.storage import Storage
from safelight.telemetry import VARIANT_SECONDS, VARIANTS

# AVIF takes most: 3.6 s and 0.6 GiB at 4096 x 4096, plus 0.3 for a large WebP source.
_LIMITS = Limits(cpu_s=10, memory_bytes=2**30, wall_s=20)
_UNKNOWN = "There is no such file."


@dataclass(frozen=True, slots=True)
class Promise:
    """The URL path and size of a variant that is derived on first request."""

    path: str
    width: int
    height: int


class Variants:
    """Variants of served pictures. Only signed URLs derive one, to prevent abuse.

    `check_open` raises `AccountSuspended` or `NotFound` for a closed account.
    """

    def __init__(
        self,
        database: Database,
        storage: Storage,
        pool: CpuPool,
        signatures: Signatures,
        scratch: Path,
        *,
        check_space: Callable[[], Awaitable[None]],
        check_open: Callable[[str], Awaitable[None]],
        rules: MakingRules | None = None,
    ) -> None:
        self._db = database
        self._pool = pool
        self._signatures = signatures
        self._check_open = check_open
        self._making = Making(
            database,
            storage,
            scratch,
            children=pool.size,
            check_space=check_space,
            rules=rules or MakingRules(),
        )

    async def promise(self, asset: Asset, asked: Spec, *, until: int) -> Promise:
        """Return the signed path for `asked`; raise `NoPublicPicture`.

        For a private picture it expires at `until`, in seconds since 1970.
        """
        if asset.kind is not AssetKind.IMAGE or not (asset.key and asset.width and asset.height):
            raise NoPublicPicture
        key = await self._signatures.key_of(asset.account_id)
        text = _signed_text(asset.key, asked, None if is_public(asset.key) else until)
        path, _, query = text.partition("?")
        query = "&".join(filter(None, (query, f"sig={signing.sign(key, text)}")))
        wanted = order(asked, asset.width, asset.height)
        return Promise(f"{path}?{query}", wanted.width, wanted.height)

    async def open(
        self, key: str, asked: Spec, signature: str, accept: str, *, until: int | None = None
    ) -> Variant:
        """Return the variant to send for the picture `key`, derived now if necessary.

        `accept` is the request's header, and `until` the expiry of a private picture's URL.
        Raises `SignatureInvalid` before deriving anything, and `NotFound`, `NoPublicPicture`,
        `Busy` or `OutOfResources`.
        """
        _check_is_picture(key)
        _check_is_open(key, until)
        specs = negotiate(asked, accept)
        names = [spec.canonical for spec in specs]
        source = await self._db.read(lambda tx: variant_store.find(tx, key, names))
        if source is None:
            raise NotFound(_UNKNOWN)
        signing_key = await self._signatures.key_of(source.account_id)
        if not signing.is_signed(signing_key, _signed_text(key, asked, until), signature):
            raise SignatureInvalid
        await self._check_open(source.account_id)
        spec = specs[-1] if source.has_alpha else specs[0]
        found = source.variants.get(spec.canonical)
        VARIANTS.labels("miss" if found is None else "hit").inc()
        if found is not None:
            return found
        return await self._make(source, spec)

    async def _make(self, source: Source, spec: Spec) -> Variant:
        wanted = order(spec, source.width, source.height)

        async def make(original: Path, folder: Path) -> Made:
            made = await self._transform(original, folder, wanted, source.account_id)
            key = _new_key(source.asset_id, made.media_type)
            return Made(made.source, key, made.media_type, made.bytes, made.width, made.height)

        began = time.perf_counter()
        name = Wanted(source.asset_id, source.account_id, source.key, spec.canonical)
        variant = await self._making(name, make)
        VARIANT_SECONDS.labels(spec.format.value).observe(time.perf_counter() - began)
        return variant

    async def _transform(
        self, original: Path, folder: Path, wanted: VariantOrder, account_id: str
    ) -> Picture:
        """Derive a picture; a small one in memory, in a child that the account has for a while."""
        small = await asyncio.to_thread(read_small, original, SMALL_BYTES)
        if small is not None and fits_memory(wanted):
            return await self._pool.run(
                transform, small, None, wanted, limits=_LIMITS, tenant=account_id
            )
        return await self._pool.run(
            transform, original, folder, wanted, reads=[original], writes=[folder], limits=_LIMITS
        )


def _check_is_picture(key: str) -> None:
    media_type = media_type_of(key)
    if media_type is None or not (key.isascii() and key.isprintable()):
        raise NotFound(_UNKNOWN)
    if not media_type.startswith("image/"):
        raise NoPublicPicture


def _check_is_open(key: str, until: int | None) -> None:
    if not is_public(key) and (until is None or time.time() >= until):
        raise SignatureInvalid("This address has ended.")


def _signed_text(key: str, asked: Spec, until: int | None) -> str:
    """Return the text that is signed; a public picture's URL never expires."""
    ends = "" if until is None else f"until={until}"
    return f"{key}?{'&'.join(filter(None, (asked.canonical, ends)))}"


def _new_key(asset_id: str, media_type: str) -> str:
    """Return an unguessable key in a folder that is not served directly."""
    return f"renditions/{asset_id}/{ids.secret(130)}.{EXTENSIONS[media_type]}"

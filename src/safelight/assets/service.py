"""Takes files in: finds out what they are, keeps their bytes, makes what the public sees."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from safelight import ids
from safelight.assets import glb, store
from safelight.assets.asset import Asset, AssetKind, Rendition, original_key, public_key
from safelight.assets.inspect import Facts, InspectRules, inspect
from safelight.assets.picture import RENDITION_SIDES, Picture
from safelight.assets.renditions import make_renditions
from safelight.cpu import CpuPool, Limits
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.providers.provider import MediaFile
from safelight.storage.storage import Storage

_INSPECT_LIMITS = Limits(cpu_s=60, memory_bytes=3 * 2**30, wall_s=60)
_HASH_CHUNK = 1 << 20
_SHOWN_AS_THEY_ARE = frozenset({"image/png", "image/jpeg", "image/webp"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an asset comes from, as its row tells it."""

    account_id: str
    job_id: str | None = None
    prompt: str = ""
    model: str = ""
    provider: str = ""

    def row(self) -> dict[str, Any]:
        """Return these facts as columns."""
        return {
            "account_id": self.account_id,
            "job_id": self.job_id,
            "prompt": self.prompt,
            "model": self.model,
            "provider": self.provider,
        }


class Assets:
    """Everything that is kept. Bytes are stored before the row that names them is written."""

    def __init__(
        self, database: Database, storage: Storage, pool: CpuPool, rules: InspectRules
    ) -> None:
        self._db = database
        self._storage = storage
        self._pool = pool
        self._rules = rules

    async def inspect(self, path: Path) -> Facts:
        """Return what the picture is, fully decoded once; raise `MediaError` if it is none."""
        return await self._pool.run(inspect, path, self._rules, limits=_INSPECT_LIMITS)

    async def keep_private(
        self, path: Path, facts: Facts, name: str, account_id: str
    ) -> dict[str, Any]:
        """Store an input picture for its owner alone; return the row to insert."""
        key = original_key(account_id, facts.sha256)
        await self._put_original(key, path)
        return _picture_row(facts, name) | {
            "id": ids.new("asset"),
            "account_id": account_id,
            "position": 0,
            "key": None,
            "original_key": key,
            "renditions": {},
        }

    async def keep_picture(
        self,
        path: Path,
        origin: Origin,
        *,
        sanitize: bool,
        facts: dict[str, Any] | None = None,
        name: str = "",
        source_url: str = "",
        position: int = 0,
    ) -> dict[str, Any]:
        """Store a picture with a public copy and renditions; return the row to insert.

        `sanitize` is for pictures from outside: the public copy is made anew, upright, in sRGB
        and without metadata, and the original stays private. Pictures that a provider made are
        public as they are.
        """
        found = await self.inspect(path)
        asset_id = ids.new("asset")
        shown = await self._show(path, found, origin, asset_id, sanitize=sanitize)
        return (
            _picture_row(found, name, facts)
            | origin.row()
            | {"id": asset_id, "position": position, "source_url": source_url}
            | shown
        )

    async def _show(
        self, path: Path, found: Facts, origin: Origin, asset_id: str, *, sanitize: bool
    ) -> dict[str, Any]:
        """Store what the public sees of a picture; return its columns."""
        owner = origin.job_id or asset_id
        if not sanitize and _is_small(found):
            key = public_key(AssetKind.IMAGE, owner, found.media_type)
            await self._storage.put(key, path)
            return {"key": key, "original_key": key, "renditions": _itself(found, key)}
        folder = path.parent / f"renditions-{asset_id}"
        folder.mkdir()
        made = await self._pool.run(make_renditions, path, folder, sanitize, limits=_INSPECT_LIMITS)
        renditions = await self._put_renditions(owner, made.pictures)
        served = made.served
        if served is None:
            key = public_key(AssetKind.IMAGE, owner, found.media_type)
            await self._storage.put(key, path)
            return {"key": key, "original_key": key, "renditions": renditions}
        private = original_key(origin.account_id, found.sha256)
        await self._put_original(private, path)
        key = public_key(AssetKind.IMAGE, owner, served.media_type)
        await self._storage.put(key, served.path)
        return {
            "key": key,
            "original_key": private,
            "renditions": renditions,
            "media_type": served.media_type,
            "bytes": served.bytes,
            "width": served.width,
            "height": served.height,
        }

    async def keep_media(self, media: MediaFile, origin: Origin, position: int) -> dict[str, Any]:
        """Store one output of a provider, checked by its bytes; return the row to insert."""
        if media.media_type == glb.MEDIA_TYPE:
            return await self._keep_model(media, origin, position)
        return await self.keep_picture(
            media.path,
            origin,
            sanitize=bool(media.source_url),
            facts=dict(media.facts),
            name=media.name,
            source_url=media.source_url,
            position=position,
        )

    async def _keep_model(self, media: MediaFile, origin: Origin, position: int) -> dict[str, Any]:
        await anyio.to_thread.run_sync(glb.check, media.path)
        asset_id = ids.new("asset")
        owner = origin.job_id or asset_id
        size, digest = await anyio.to_thread.run_sync(_measure, media.path)
        renditions: dict[str, Rendition] = {}
        if media.preview is not None:
            folder = media.path.parent / f"renditions-{asset_id}"
            folder.mkdir()
            made = await self._pool.run(
                make_renditions, media.preview, folder, False, limits=_INSPECT_LIMITS
            )
            renditions = await self._put_renditions(owner, made.pictures)
        key = public_key(AssetKind.MODEL_3D, owner, media.media_type)
        await self._storage.put(key, media.path)
        return origin.row() | {
            "id": asset_id,
            "position": position,
            "kind": AssetKind.MODEL_3D,
            "name": media.name,
            "key": key,
            "original_key": key,
            "media_type": media.media_type,
            "bytes": size,
            "sha256": digest,
            "facts": dict(media.facts),
            "renditions": renditions,
        }

    async def upload(self, path: Path, name: str, account_id: str) -> Asset:
        """Keep a picture that a person sent."""
        row = await self.keep_picture(path, Origin(account_id), sanitize=True, name=name)
        return (await self._db.write(lambda tx: store.insert(tx, [row])))[0]

    async def get(self, account_id: str, asset_id: str) -> Asset:
        """Raise `NotFound` for an asset that is not the account's."""
        asset = await self._db.read(lambda tx: store.get(tx, account_id, asset_id))
        if asset is None:
            raise NotFound("There is no such asset.")
        return asset

    async def page(
        self, account_id: str, *, kind: AssetKind | None, before: str | None, limit: int
    ) -> list[Asset]:
        """Return the account's assets, newest first."""
        return await self._db.read(
            lambda tx: store.page(tx, account_id, kind=kind, before=before, limit=limit)
        )

    async def delete(self, account_id: str, asset_id: str) -> None:
        """Remove an asset's row, then its bytes unless another asset shares them."""
        asset = await self.get(account_id, asset_id)
        await self.discard(await self._db.write(lambda tx: store.delete(tx, [asset])))

    async def discard(self, keys: Iterable[str]) -> None:
        """Remove objects whose rows are gone."""
        await self._storage.delete(keys)

    async def copy_original(self, asset: Asset, target: Path) -> None:
        """Write the bytes as they came to a file."""
        await self._storage.copy_to(asset.original_key, target)

    async def _put_original(self, key: str, path: Path) -> None:
        try:
            await self._storage.head(key)
        except NotFound:
            await self._storage.put(key, path)

    async def _put_renditions(
        self, owner: str, pictures: dict[str, Picture]
    ) -> dict[str, Rendition]:
        kept: dict[str, Rendition] = {}
        for name, picture in pictures.items():
            key = public_key(AssetKind.IMAGE, owner, picture.media_type)
            await self._storage.put(key, picture.path)
            kept[name] = Rendition(
                key=key,
                media_type=picture.media_type,
                width=picture.width,
                height=picture.height,
                bytes=picture.bytes,
            )
        return kept


def _is_small(found: Facts) -> bool:
    """Say whether browsers show the picture as it is, and nothing smaller is worth making."""
    return (
        found.media_type in _SHOWN_AS_THEY_ARE
        and found.orientation == 1
        and max(found.width, found.height) <= min(RENDITION_SIDES.values())
    )


def _itself(found: Facts, key: str) -> dict[str, Rendition]:
    picture = Rendition(
        key=key,
        media_type=found.media_type,
        width=found.width,
        height=found.height,
        bytes=found.bytes,
    )
    return dict.fromkeys(RENDITION_SIDES, picture)


def _picture_row(found: Facts, name: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "kind": AssetKind.IMAGE,
        "name": name,
        "media_type": found.media_type,
        "bytes": found.bytes,
        "width": found.width,
        "height": found.height,
        "sha256": found.sha256,
        "placeholder": found.placeholder,
        "facts": found.document() | (more or {}),
    }


def _measure(path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    read: Callable[[], bytes]
    with path.open("rb") as file:
        read = lambda: file.read(_HASH_CHUNK)  # noqa: E731  iter() wants a callable
        for chunk in iter(read, b""):
            digest.update(chunk)
    return path.stat().st_size, digest.hexdigest()

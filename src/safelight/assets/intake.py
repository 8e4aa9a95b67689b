"""Takes files in: inspects them, stores their bytes, and derives their public renditions."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

import anyio.to_thread

from safelight import ids
from safelight.assets import object_ledger
from safelight.assets.asset import AssetKind, NewAsset
from safelight.assets.derived.renditions import as_it_is, itself, renditions_of, with_checksums
from safelight.assets.keys import Visibility, shown_key
from safelight.assets.object_ledger import Note, Original
from safelight.checksums import checksum_of
from safelight.cpu import CpuPool, Limits, Report
from safelight.db.coalesced import Coalesced
from safelight.db.engine import Database
from safelight.json_object import JsonObject
from safelight.media.errors import MediaError
from safelight.media.models.arrival import receive
from safelight.media.models.check import fbx
from safelight.media.models.take_in import GLB, ModelRules
from safelight.media.pictures.glimpse import glimpse
from safelight.media.pictures.ingest import SMALL_BYTES, TakenIn, take_in, take_in_small
from safelight.media.pictures.inspect import Facts, InspectRules, inspect
from safelight.media.pictures.picture import Picture
from safelight.media.source import Source, size_of
from safelight.providers.provider import MediaFile
from safelight.storage.storage import Storage

_INSPECT_LIMITS = Limits(cpu_s=5, memory_bytes=512 * 2**20, wall_s=30)
INGEST_LIMITS = Limits(cpu_s=30, memory_bytes=512 * 2**20, wall_s=90)
_AT_ONCE_BYTES = 256 * 2**10  # hashed in a fraction of a millisecond, without a thread
_MODELS = frozenset({GLB, fbx.MEDIA_TYPE})


class _OfOrigin(TypedDict):
    account_id: str
    job_id: str | None
    prompt: str
    model: str
    provider: str
    caption: str
    external_id: str
    tags: list[str]
    metadata: JsonObject
    expires_at: datetime | None


class _OfPicture(TypedDict):
    kind: AssetKind
    name: str
    media_type: str
    bytes: int
    width: int
    height: int
    sha256: str
    placeholder: str
    perceptual_hash: str
    facts: JsonObject


class _Shown(TypedDict):
    key: str
    original_key: str
    served_sha256: str
    renditions: JsonObject
    media_type: str
    bytes: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Origin:
    """An asset's provenance and its owner's annotations, as stored in its row."""

    account_id: str
    job_id: str | None = None
    prompt: str = ""
    model: str = ""
    provider: str = ""
    name: str = ""  # empty: the file's name
    caption: str = ""
    external_id: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=JsonObject)
    expires_at: datetime | None = None
    visibility: Visibility = Visibility.PUBLIC

    def row(self) -> _OfOrigin:
        """Return the columns of the row."""
        return {
            "account_id": self.account_id,
            "job_id": self.job_id,
            "prompt": self.prompt,
            "model": self.model,
            "provider": self.provider,
            "caption": self.caption,
            "external_id": self.external_id,
            "tags": list(self.tags),
            "metadata": dict(self.metadata),
            "expires_at": self.expires_at,
        }


@dataclass(frozen=True, slots=True)
class _Objects:
    """The objects to store for one asset: files by key, and a separate original, if any."""

    asset_id: str
    account_id: str
    files: dict[str, Source] = field(default_factory=dict[str, Source])
    original: tuple[str, Path] | None = None  # its sha256 and its path


class Intake:
    """Takes in files. Bytes are stored before the row that names them is written."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        pool: CpuPool,
        rules: InspectRules,
        *,
        model_rules: ModelRules | None = None,
        keep_originals: bool = True,
    ) -> None:
        """Without `keep_originals`, only the public copy of external pictures is kept."""
        self._storage = storage
        self._pool = pool
        self._rules = rules
        self._model_rules = model_rules or ModelRules()
        self._keep_originals = keep_originals
        self._note: Coalesced[Note, Original | None] = Coalesced(
            database, object_ledger.note_all, pace_s=0
        )

    async def inspect(self, path: Path, account_id: str) -> Facts:
        """Decode a picture completely and return its facts; raise `MediaError` if it is invalid."""
        data = _read_small(path)
        if data is None:
            return await self._pool.run(
                inspect, path, self._rules, reads=[path], limits=_INSPECT_LIMITS
            )
        facts = await self._pool.run(
            inspect, data, self._rules, limits=_INSPECT_LIMITS, tenant=account_id
        )
        return replace(facts, sha256=checksum_of(data))

    async def glimpse(self, path: Path, account_id: str) -> str:
        """Return a small preview of unfinished work as a `data:` URI; raise `MediaError`."""
        data = _read_small(path)
        if data is None:
            return await self._pool.run(
                glimpse, path, self._rules, reads=[path], limits=_INSPECT_LIMITS
            )
        return await self._pool.run(
            glimpse, data, self._rules, limits=_INSPECT_LIMITS, tenant=account_id
        )

    async def keep_private(self, path: Path, facts: Facts, name: str, account_id: str) -> NewAsset:
        """Store a private input picture; return the row to insert."""
        asset_id = ids.new("asset")
        original, _ = await self._store(
            _Objects(asset_id, account_id, original=(facts.sha256, path))
        )
        return {
            **_picture_row(facts, name),
            "id": asset_id,
            "account_id": account_id,
            "position": 0,
            "key": None,
            "original_key": original,
            "renditions": {},
        }

    async def keep_picture(
        self,
        path: Path,
        origin: Origin,
        *,
        sanitize: bool,
        facts: Mapping[str, Any] | None = None,
        name: str = "",
        source_url: str = "",
        position: int = 0,
    ) -> NewAsset:
        """Store a picture with its served copy and renditions; return the row to insert.

        `sanitize` is for external pictures: the served copy is re-encoded, upright, in sRGB and
        without metadata, and the original stays private. Pictures from providers are served
        unchanged.
        """
        asset_id = ids.new("asset")
        folder = path.parent / f"renditions-{asset_id}"
        made = await self._take_in(path, folder, origin.account_id, serve=sanitize)
        shown = await self._show(path, made, origin, asset_id, sanitize=sanitize)
        return {
            **_picture_row(made.facts, origin.name or name, facts),
            **origin.row(),
            "id": asset_id,
            "position": position,
            "source_url": source_url,
            "source_host": urlsplit(source_url).hostname or "",
            **shown,
        }

    async def _take_in(self, path: Path, folder: Path, account_id: str, *, serve: bool) -> TakenIn:
        """Decode a picture; a small one in memory, in a child that the account has for a while."""
        data = _read_small(path)
        if data is not None:
            made = await self._pool.run(
                partial(take_in_small, serve=serve),
                data,
                self._rules,
                limits=INGEST_LIMITS,
                tenant=account_id,
            )
            if made is not None:
                # Originals are found by it, so no earlier file of this child may have its say.
                return replace(made, facts=replace(made.facts, sha256=checksum_of(data)))
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        return await self._pool.run(
            partial(take_in, serve=serve),
            path,
            folder,
            self._rules,
            reads=[path],
            writes=[folder],
            limits=INGEST_LIMITS,
        )

    async def _show(
        self, path: Path, made: TakenIn, origin: Origin, asset_id: str, *, sanitize: bool
    ) -> _Shown:
        """Store a picture's served objects; return their columns."""
        owner = origin.job_id or asset_id
        served = made.served or as_it_is(path, made.facts)
        folder, seen_by = AssetKind.IMAGE.folder, origin.visibility
        key = shown_key(folder, owner, served.media_type, seen_by)
        renditions, files = renditions_of(owner, made.pictures, seen_by)
        apart = sanitize and self._keep_originals
        original, checksums = await self._store(
            _Objects(
                asset_id,
                origin.account_id,
                {key: served.source} | files,
                (made.facts.sha256, path) if apart else None,
            )
        )
        return {
            "key": key,
            "original_key": original or key,
            "served_sha256": checksums[key],
            "renditions": with_checksums(renditions or itself(served, key), checksums),
            "media_type": served.media_type,
            "bytes": served.bytes,
            "width": served.width,
            "height": served.height,
        }

    async def keep_media(
        self, media: MediaFile, origin: Origin, position: int, *, report: Report | None = None
    ) -> NewAsset:
        """Store one output of a provider, validated by its content; return the row to insert.

        `report` receives the progress of rendering a model.
        """
        if media.media_type in _MODELS:
            return await self._keep_model(media, origin, position, report)
        return await self.keep_picture(
            media.path,
            origin,
            sanitize=bool(media.source_url),
            facts=media.facts,
            name=media.name,
            source_url=media.source_url,
            position=position,
        )

    async def _keep_model(
        self, media: MediaFile, origin: Origin, position: int, report: Report | None
    ) -> NewAsset:
        asset_id = ids.new("asset")
        owner = origin.job_id or asset_id
        folder = media.path.parent / f"renditions-{asset_id}"
        folder.mkdir()
        facts, pictures = await self._look_at_model(media, folder, origin.account_id, report)
        seen_by = origin.visibility
        renditions, files = renditions_of(owner, pictures, seen_by)
        key = shown_key(AssetKind.MODEL_3D.folder, owner, media.media_type, seen_by)
        objects = _Objects(asset_id, origin.account_id, {key: media.path, **files})
        _, checksums = await self._store(objects)
        return {
            **origin.row(),
            "id": asset_id,
            "position": position,
            "kind": AssetKind.MODEL_3D,
            "name": media.name,
            "key": key,
            "original_key": key,
            "media_type": media.media_type,
            "bytes": media.path.stat().st_size,
            "sha256": checksums[key],
            "served_sha256": checksums[key],
            "facts": dict(media.facts) | facts,
            "renditions": with_checksums(renditions, checksums),
        }

    async def _look_at_model(
        self, media: MediaFile, folder: Path, account_id: str, report: Report | None
    ) -> tuple[JsonObject, dict[str, Picture]]:
        """Return the file's facts and its pictures; the provider's take precedence over ours."""
        if media.media_type == fbx.MEDIA_TYPE:
            await anyio.to_thread.run_sync(fbx.check, media.path)
            return {}, await self._brought(media.preview, folder, account_id)
        brought = await self._brought(media.preview, folder, account_id)
        rules, still = self._model_rules, not brought
        made = await receive(self._pool, media.path, folder, rules, still=still, report=report)
        return made.facts.document(), brought | made.pictures

    async def _brought(
        self, preview: Path | None, folder: Path, account_id: str
    ) -> dict[str, Picture]:
        """Return renditions of a provider's own preview of its model; none if it is damaged."""
        if preview is None:
            return {}
        try:
            made = await self._take_in(preview, folder, account_id, serve=False)
        except MediaError:  # keep the model, which was paid for
            return {}
        return made.pictures or {"preview": as_it_is(preview, made.facts)}

    async def _store(self, objects: _Objects) -> tuple[str | None, dict[str, str]]:
        """Note the keys, then store the bytes.

        Returns the key of the original, if any, and the SHA-256 of each file by key. An original
        that exists already is not stored again.
        """
        checksum, path = objects.original or (None, None)
        size = path.stat().st_size if path else 0
        note = Note(objects.asset_id, objects.account_id, list(objects.files), checksum, size)
        checksums = await _checksums(objects.files)
        original = await self._note(note)
        files = dict(objects.files)
        if original and objects.original and not original.is_stored:
            files[original.key] = objects.original[1]
        await asyncio.gather(*(self._storage.put(key, path) for key, path in files.items()))
        return original.key if original else None, checksums


def _picture_row(found: Facts, name: str, more: Mapping[str, Any] | None = None) -> _OfPicture:
    return {
        "kind": AssetKind.IMAGE,
        "name": name,
        "media_type": found.media_type,
        "bytes": found.bytes,
        "width": found.width,
        "height": found.height,
        "sha256": found.sha256,
        "placeholder": found.placeholder,
        "perceptual_hash": found.perceptual_hash,
        "facts": found.document() | dict(more or {}),
    }


def _read_small(path: Path) -> bytes | None:
    """Return a file that is small: it was just written, and is read in less time than a thread."""
    return path.read_bytes() if path.stat().st_size <= SMALL_BYTES else None


async def _checksums(files: Mapping[str, Source]) -> dict[str, str]:
    def compute() -> dict[str, str]:
        return {key: checksum_of(source) for key, source in files.items()}

    if sum(map(size_of, files.values())) <= _AT_ONCE_BYTES:
        return compute()
    return await anyio.to_thread.run_sync(compute)

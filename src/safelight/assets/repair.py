"""Rebuilds lost renditions from the original, under the same keys."""

import asyncio
from collections.abc import Collection
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from safelight.assets.asset import Asset, AssetKind
from safelight.assets.intake import INGEST_LIMITS
from safelight.assets.keys import is_original
from safelight.checksums import checksum_of, file_checksum
from safelight.cpu import CpuPool
from safelight.media.models.arrival import receive
from safelight.media.models.take_in import ModelRules
from safelight.media.pictures.ingest import take_in
from safelight.media.pictures.inspect import InspectRules
from safelight.media.pictures.picture import Picture
from safelight.storage.storage import Storage


class Repairer:
    """Rebuilds served copies and renditions."""

    def __init__(
        self, storage: Storage, pool: CpuPool, rules: InspectRules, *, scratch: Path
    ) -> None:
        self._storage = storage
        self._pool = pool
        self._rules = rules
        self._scratch = scratch

    async def __call__(self, asset: Asset, missing: Collection[str]) -> dict[str, str]:
        """Rebuild and store `missing` objects where possible; return their SHA-256 by key.

        Nothing can be rebuilt if the source is lost or damaged. Raises the errors of storage and
        decoder.
        """
        apart = is_original(asset.original_key)
        own = asset.original_key if apart else asset.key
        if own is None or own in missing:
            return {}
        checksum = asset.sha256 if apart else asset.served_sha256
        with TemporaryDirectory(dir=self._scratch, prefix="again-") as name:
            folder = Path(name)
            await self._storage.copy_to(own, folder / "source")
            if checksum not in (None, await asyncio.to_thread(file_checksum, folder / "source")):
                return {}
            made = await self._make(asset, folder, serve=apart)
            again = {key: picture for key, picture in made.items() if key in missing}
            for key, picture in again.items():
                await self._storage.put(key, picture.source)
            return {
                key: await asyncio.to_thread(checksum_of, picture.source)
                for key, picture in again.items()
            }

    async def _make(self, asset: Asset, folder: Path, *, serve: bool) -> dict[str, Picture]:
        """Return rebuilt pictures by key, only those with an unchanged format."""
        source = folder / "source"
        if asset.kind is AssetKind.MODEL_3D:
            copy = None
            model = await receive(self._pool, source, folder, ModelRules(), still=True)
            pictures = model.pictures
        else:
            work = partial(take_in, serve=serve)
            taken = await self._pool.run(
                work,
                source,
                folder,
                self._rules,
                reads=[source],
                writes=[folder],
                limits=INGEST_LIMITS,
            )
            copy, pictures = taken.served, taken.pictures
        made: dict[str, Picture] = {}
        if asset.key and copy and copy.media_type == asset.media_type:
            made[asset.key] = copy
        for name, rendition in asset.renditions.items():
            picture = pictures.get(name)
            if picture and picture.media_type == rendition["media_type"]:
                made[rendition["key"]] = picture
        return made

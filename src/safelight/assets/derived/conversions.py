"""3D models in other formats, derived on first request and stored."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path, PurePosixPath

from safelight.assets.asset import Asset
from safelight.assets.derived import variant_store
from safelight.assets.derived.making import Made, Making, MakingRules, Wanted
from safelight.assets.derived.variant_store import Variant
from safelight.assets.errors import FormatUnavailable
from safelight.assets.keys import shown_key
from safelight.cpu import CpuPool, Limits
from safelight.db.engine import Database
from safelight.media.models.convert import ModelFormat, convert
from safelight.media.models.take_in import GLB
from safelight.storage.storage import Storage

_LIMITS = Limits(cpu_s=60, memory_bytes=2 * 2**30, wall_s=90)
_RULES = MakingRules(max_waiting=256, deadline=timedelta(minutes=5))  # batches request many


def is_convertible(asset: Asset) -> bool:
    """Return whether an asset is a binary glTF, the source of all conversions."""
    return asset.media_type == GLB and asset.key is not None


class Conversions:
    """Converts 3D models, on behalf of their owner; a result has its asset's visibility."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        pool: CpuPool,
        scratch: Path,
        *,
        check_space: Callable[[], Awaitable[None]],
    ) -> None:
        self._db = database
        self._pool = pool
        self._making = Making(
            database,
            storage,
            scratch,
            children=pool.size,
            check_space=check_space,
            rules=_RULES,
        )

    async def open(self, asset: Asset, form: ModelFormat) -> Variant:
        """Return the asset in that format, derived now if necessary.

        Raises `FormatUnavailable` if it is not a binary glTF, `MediaUnsupported` if it cannot be
        converted, and `Busy` or `OutOfResources`.
        """
        if not asset.key or not is_convertible(asset):
            raise FormatUnavailable
        spec = f"format={form.value}"
        known = await self._db.read(lambda tx: variant_store.get(tx, asset.id, spec))
        if known is not None:
            return known
        name = PurePosixPath(asset.name).stem or asset.id

        async def make(source: Path, folder: Path) -> Made:
            path = await self._pool.run(
                convert, source, form, folder, name, reads=[source], writes=[folder], limits=_LIMITS
            )
            owner = asset.job_id or asset.id
            key = shown_key(asset.kind.folder, owner, form.media_type, asset.visibility)
            return Made(path, key, form.media_type, path.stat().st_size)

        return await self._making(Wanted(asset.id, asset.account_id, asset.key, spec), make)

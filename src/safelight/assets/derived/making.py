"""Derives files from assets on first request, single-flight, and stores them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from safelight import ids
from safelight.assets import object_ledger
from safelight.assets.derived import variant_store
from safelight.assets.derived.variant_store import Variant
from safelight.assets.object_ledger import Note
from safelight.checksums import checksum_of
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.media.source import Source
from safelight.single_flight import Busy, Once
from safelight.storage.storage import Storage

_COPIES_A_CHILD = 2  # the next source is ready when a child is free, without filling the disk
_COME_AGAIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class MakingRules:
    """Limits of the queue: its length, and how long a request may take."""

    max_waiting: int = 64
    deadline: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The file to derive: its asset, source object and canonical spec."""

    asset_id: str
    account_id: str
    source_key: str
    spec: str


@dataclass(frozen=True, slots=True)
class Made:
    """A derived file and its key. Width and height in pixels, 0 for a 3D model."""

    source: Source
    key: str
    media_type: str
    bytes: int
    width: int = 0
    height: int = 0


Make = Callable[[Path, Path], Awaitable[Made]]
"""Derives a file from the source into the folder; both are removed afterwards."""


class Making:
    """Derives files, with up to `children` processes at once."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        scratch: Path,
        *,
        children: int,
        check_space: Callable[[], Awaitable[None]],
        rules: MakingRules,
    ) -> None:
        """Sources are copied to `scratch`; `check_space` raises `StorageFull`."""
        self._db = database
        self._storage = storage
        self._scratch = scratch
        self._check_space = check_space
        self._rules = rules
        self._turns = asyncio.Semaphore(children * _COPIES_A_CHILD)
        self._once: Once[tuple[str, str], Variant] = Once(rules.max_waiting)

    async def __call__(self, wanted: Wanted, make: Make) -> Variant:
        """Return the variant, derived by this or a concurrent call.

        Raises `NotFound` if the asset is gone, `Busy` if the queue is full or too slow, and
        whatever `make` raises.
        """
        name = wanted.asset_id, wanted.spec
        return await self._once(name, partial(self._make_in_time, wanted, make))

    async def _make_in_time(self, wanted: Wanted, make: Make) -> Variant:
        try:
            async with asyncio.timeout(self._rules.deadline.total_seconds()), self._turns:
                return await self._make(wanted, make)
        except TimeoutError:
            raise Busy(retry_after=_COME_AGAIN) from None

    async def _make(self, wanted: Wanted, make: Make) -> Variant:
        # It may have been derived between the caller's lookup and this turn.
        known = await self._db.read(lambda tx: variant_store.get(tx, wanted.asset_id, wanted.spec))
        if known is not None:
            return known
        await self._check_space()
        with TemporaryDirectory(dir=self._scratch, prefix="making-") as folder:
            source = Path(folder, "source")
            await self._storage.copy_to(wanted.source_key, source)
            return await self._keep(wanted, await make(source, Path(folder)))

    async def _keep(self, wanted: Wanted, made: Made) -> Variant:
        """Store the object, then the row. After a failure between, the sweep removes the object."""
        variant = Variant(
            wanted.asset_id,
            wanted.spec,
            made.key,
            made.media_type,
            made.width,
            made.height,
            made.bytes,
            await asyncio.to_thread(checksum_of, made.source),
        )
        note = Note(ids.new("asset"), wanted.account_id, [variant.key])
        await self._db.write(lambda tx: object_ledger.note_all(tx, [note]))
        await self._storage.put(variant.key, made.source)
        kept = await self._db.write(
            lambda tx: variant_store.keep(tx, variant, note.asset_id, source=wanted.source_key)
        )
        if kept is None:
            raise NotFound("There is no such file.")
        return kept

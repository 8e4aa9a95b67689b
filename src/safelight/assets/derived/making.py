"""Makes files of assets when they are first asked for, each once whoever asks, and keeps them."""

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
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.single_flight import Busy, Once
from safelight.storage.storage import Storage

_COPIES_A_CHILD = 2  # the next source is there when a child gets free, and no more fill the disk
_COME_AGAIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class MakingRules:
    """How much may wait here, and for how long."""

    max_waiting: int = 64
    deadline: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made: of which asset, from which of its objects, under which name."""

    asset_id: str
    account_id: str
    source_key: str
    spec: str


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was made, and the key it gets. A 3D model is 0 pixels wide and high."""

    path: Path
    key: str
    media_type: str
    bytes: int
    width: int = 0
    height: int = 0


Make = Callable[[Path, Path], Awaitable[Made]]
"""Makes a file of the source in the folder; both are gone afterwards."""


class Making:
    """One way to make files: `children` of them at once."""

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
        """Return what was made, now or by somebody else meanwhile.

        Raises `NotFound` where the asset has gone, `Busy` where too much waits, and what `make`
        raises.
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
        # Whoever made it just now may have been done between our look and our turn.
        known = await self._db.read(lambda tx: variant_store.get(tx, wanted.asset_id, wanted.spec))
        if known is not None:
            return known
        await self._check_space()
        with TemporaryDirectory(dir=self._scratch, prefix="making-") as folder:
            source = Path(folder, "source")
            await self._storage.copy_to(wanted.source_key, source)
            return await self._keep(wanted, await make(source, Path(folder)))

    async def _keep(self, wanted: Wanted, made: Made) -> Variant:
        """Store the object, then the row. What fails between is swept when its note runs out."""
        variant = Variant(
            wanted.asset_id,
            wanted.spec,
            made.key,
            made.media_type,
            made.width,
            made.height,
            made.bytes,
        )
        note = Note(ids.new("asset"), wanted.account_id, [variant.key])
        await self._db.write(lambda tx: object_ledger.note_all(tx, [note]))
        await self._storage.put(variant.key, made.path)
        kept = await self._db.write(
            lambda tx: variant_store.keep(tx, variant, note.asset_id, source=wanted.source_key)
        )
        if kept is None:
            raise NotFound("There is no such file.")
        return kept

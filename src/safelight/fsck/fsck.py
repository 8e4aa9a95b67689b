"""Finds objects that no row names and rows whose objects are lost; removes, makes anew, reports."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from safelight import ids, telemetry
from safelight.assets.object_ledger import KEPT
from safelight.assets.repair import Remaking
from safelight.assets.service import Assets
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound, SafelightError
from safelight.fsck import store
from safelight.fsck.ledger import Ledger, open_ledger
from safelight.fsck.store import Role
from safelight.storage.storage import Storage, Stored

T = TypeVar("T")

_log = telemetry.logger(__name__)

_AT_ONCE = 1000
_LOOKS = 16  # at single objects


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing amiss: an object that nobody names, or one of an asset that is lost."""

    key: str
    role: Role | None  # None where nobody names it
    asset_id: str = ""
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """How much there is, and what is amiss with it, by asset."""

    objects: int
    bytes: int
    findings: AsyncIterator[Finding]


class Remedy(StrEnum):
    """What was done about a finding."""

    REMOVED = "removed"
    MADE_ANEW = "made anew"
    FORGOTTEN = "forgotten"  # and made anew when it is asked for
    NONE = "lost"


@asynccontextmanager
async def examine(database: Database, storage: Storage, scratch: Path) -> AsyncIterator[Report]:
    """Compare storage and rows; the findings are read while the context is open.

    What came within the last hour may be of an asset whose row is to be written, and is no
    finding. Memory is bounded; the lists lie in `scratch`.
    """
    began = datetime.now(UTC)
    with TemporaryDirectory(dir=scratch, prefix="fsck-") as name, open_ledger(Path(name)) as ledger:
        async for page in _pages(storage.all()):
            await asyncio.to_thread(ledger.stored, page)
        # Read second: what is removed meanwhile is looked for once more below, and so is what came.
        await database.read(lambda tx: _note(tx, ledger))
        objects, size = ledger.totals()
        yield Report(objects, size, _findings(ledger, storage, began - KEPT))


def _note(tx: Connection, ledger: Ledger) -> None:
    for page in store.pages(tx):
        ledger.named(page)


async def _findings(ledger: Ledger, storage: Storage, before: datetime) -> AsyncIterator[Finding]:
    lost = (Finding(key, Role(role), asset_id) for key, role, asset_id in ledger.dangling())
    for some in _batches(lost, _LOOKS):
        there = await _which(storage, some)
        for finding in some:
            if finding.key not in there:
                yield finding
    orphans = (Finding(key, None, bytes=size) for key, size in ledger.orphans(before))
    for some in _batches(orphans, _LOOKS):
        there = await _which(storage, some)
        for finding in some:
            if finding.key in there:
                yield finding


async def _which(storage: Storage, found: Sequence[Finding]) -> set[str]:
    """Return the keys that there are now."""

    async def look(key: str) -> str | None:
        try:
            return (await storage.head(key)).key
        except NotFound:
            return None

    return set(filter(None, await asyncio.gather(*(look(each.key) for each in found))))


async def mend(
    findings: AsyncIterator[Finding], database: Database, assets: Assets, remaking: Remaking
) -> AsyncIterator[tuple[Finding, Remedy]]:
    """Do what can be done about each finding, and yield it with what was done."""
    async for some in _by_asset(findings):
        if not some[0].asset_id:
            await _sweep(database, assets, [each.key for each in some])
            remedies = dict.fromkeys((each.key for each in some), Remedy.REMOVED)
        else:
            remedies = await _mend_asset(some, database, remaking)
        for finding in some:
            yield finding, remedies.get(finding.key, Remedy.NONE)


async def _sweep(database: Database, assets: Assets, keys: Sequence[str]) -> None:
    name = ids.new("asset")
    await database.write(lambda tx: store.leave_to_sweep(tx, name, keys))
    await assets.sweep()


async def _mend_asset(
    found: Sequence[Finding], database: Database, remaking: Remaking
) -> dict[str, Remedy]:
    """Forget what is made when it is asked for, and make the rest anew of what there is."""
    made = [each.key for each in found if each.role is Role.VARIANT]
    await database.write(lambda tx: store.forget_variants(tx, made))
    remedies = dict.fromkeys(made, Remedy.FORGOTTEN)
    missing = {each.key for each in found} - set(made)
    asset = await database.read(lambda tx: store.asset(tx, found[0].asset_id))
    if asset is not None and missing:
        try:
            again = await remaking(asset, missing)
        except SafelightError as error:
            _log.warning("not made anew", asset=asset.id, error=error.detail)
        else:
            remedies |= dict.fromkeys(again, Remedy.MADE_ANEW)
    return remedies


# --- in pages -------------------------------------------------------------------------------------


async def _pages(found: AsyncIterator[Stored]) -> AsyncIterator[list[Stored]]:
    page: list[Stored] = []
    async for stored in found:
        page.append(stored)
        if len(page) == _AT_ONCE:
            yield page
            page = []
    yield page


async def _by_asset(findings: AsyncIterator[Finding]) -> AsyncIterator[list[Finding]]:
    """Yield the findings of one asset together, and those of none in pages."""
    some: list[Finding] = []
    async for finding in findings:
        if some and (finding.asset_id != some[0].asset_id or len(some) == _AT_ONCE):
            yield some
            some = []
        some.append(finding)
    if some:
        yield some


def _batches(found: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(found)
    while some := list(islice(rest, size)):
        yield some

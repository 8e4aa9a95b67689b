"""Finds orphaned objects and rows with lost or damaged objects; removes or rebuilds them."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from safelight import telemetry
from safelight.assets.object_ledger import KEPT
from safelight.assets.repair import Repairer
from safelight.assets.service import Assets
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound, SafelightError
from safelight.fsck import store
from safelight.fsck.ledger import Ledger, open_ledger
from safelight.fsck.store import ObjectRole
from safelight.storage.storage import Storage, Stored

T = TypeVar("T")

_log = telemetry.logger(__name__)

_AT_ONCE = 1000
_LOOKS = 16  # concurrent lookups


@dataclass(frozen=True, slots=True)
class Finding:
    """An inconsistency: an orphaned object, or a lost or damaged object of an asset."""

    key: str
    role: ObjectRole | None  # None for an orphan, and for a damaged object of the trash
    asset_id: str = ""
    bytes: int = 0
    is_damaged: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Totals, and the findings grouped by asset.

    `young` counts objects of the last hour that no row names yet; `unsummed` counts objects
    whose bytes cannot be compared, as an earlier version recorded no checksum.
    """

    objects: int
    bytes: int
    young: int
    unsummed: int
    findings: AsyncIterator[Finding]


class Remedy(StrEnum):
    """The repair of a finding."""

    REMOVED = "removed"
    MADE_ANEW = "made anew"
    FORGOTTEN = "forgotten"  # derived again on request
    NONE = "lost"  # or damaged


@asynccontextmanager
async def examine(
    database: Database, storage: Storage, scratch: Path, *, deep: bool = False
) -> AsyncGenerator[Report]:
    """Compare storage and rows; read the findings while the context is open.

    Objects from the last hour are no findings: their rows may not be written yet. With `deep`, all
    bytes are read and compared with their checksums. Memory is bounded; the lists are kept in
    `scratch`.
    """
    began = datetime.now(UTC)
    with TemporaryDirectory(dir=scratch, prefix="fsck-") as name, open_ledger(Path(name)) as ledger:
        async for page in _pages(storage.all()):
            await asyncio.to_thread(ledger.stored, page)
        # Read second; concurrent additions and removals are rechecked below.
        await database.read(lambda tx: _note(tx, ledger))
        objects, size = ledger.totals()
        yield Report(
            objects,
            size,
            ledger.young(began - KEPT),
            ledger.unsummed(),
            _chain(
                _findings(ledger, storage, began - KEPT),
                *([_damaged(ledger, storage)] if deep else []),
            ),
        )


def _note(tx: Connection, ledger: Ledger) -> None:
    for page in store.pages(tx):
        ledger.named(page)


async def _chain(*sources: AsyncIterator[Finding]) -> AsyncIterator[Finding]:
    for source in sources:
        async for finding in source:
            yield finding


async def _findings(ledger: Ledger, storage: Storage, before: datetime) -> AsyncIterator[Finding]:
    lost = (Finding(key, ObjectRole(role), asset_id) for key, role, asset_id in ledger.dangling())
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


async def _damaged(ledger: Ledger, storage: Storage) -> AsyncIterator[Finding]:
    for key, role, owner, checksum in ledger.summed():
        try:
            found, size = await _checksum_of(storage, key)
        except NotFound:  # removed meanwhile
            continue
        if found != checksum:
            yield Finding(key, ObjectRole(role) if role else None, owner, size, is_damaged=True)


async def _checksum_of(storage: Storage, key: str) -> tuple[str, int]:
    size = (await storage.head(key)).bytes
    checksum = hashlib.sha256()
    async for piece in storage.read(key, start=0, end=size):
        await asyncio.to_thread(checksum.update, piece)
    return checksum.hexdigest(), size


async def _which(storage: Storage, found: Sequence[Finding]) -> set[str]:
    """Return the keys of the findings that exist now."""

    async def look(key: str) -> str | None:
        try:
            return (await storage.head(key)).key
        except NotFound:
            return None

    return set(filter(None, await asyncio.gather(*(look(each.key) for each in found))))


async def mend(
    findings: AsyncIterator[Finding], database: Database, assets: Assets, remaking: Repairer
) -> AsyncIterator[tuple[Finding, Remedy]]:
    """Repair each finding if possible, and yield it with the remedy."""
    async for some in _by_asset(findings):
        if some[0].asset_id:
            remedies = await _mend_asset(some, database, remaking)
        else:
            orphans = [each.key for each in some if not each.is_damaged]
            await _sweep(database, assets, orphans)
            remedies = dict.fromkeys(orphans, Remedy.REMOVED)
        for finding in some:
            yield finding, remedies.get(finding.key, Remedy.NONE)


async def _sweep(database: Database, assets: Assets, keys: Sequence[str]) -> None:
    await database.write(lambda tx: store.leave_to_sweep(tx, keys))
    await assets.sweep()


async def _mend_asset(
    found: Sequence[Finding], database: Database, remaking: Repairer
) -> dict[str, Remedy]:
    """Delete lost variants, which are derived on request, and rebuild the rest where possible."""
    made = [each.key for each in found if each.role is ObjectRole.VARIANT]
    stale = [each.key for each in found if each.role is ObjectRole.VARIANT and each.is_damaged]
    await database.write(lambda tx: store.forget_variants(tx, made, stale))
    remedies = dict.fromkeys(made, Remedy.FORGOTTEN)
    missing = {each.key for each in found} - set(made)
    asset = await database.read(lambda tx: store.asset(tx, found[0].asset_id))
    if asset is not None and missing:
        try:
            again = await remaking(asset, missing)
            await database.write(lambda tx: store.note_checksums(tx, asset.id, again))
        except SafelightError as error:
            _log.warning("asset not rebuilt", asset=asset.id, error=error.detail)
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
    """Group findings by asset; orphans come in pages."""
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

"""Backups: all rows and objects of an installation or an account, for any database.

A backup is restored into an empty installation, an exported account into one that does not have it.
Rows are read in one snapshot, then the objects that they name, which are immutable. A restore
verifies the whole file and stores the objects first: if interrupted, it leaves no rows and can be
started again.
"""

import asyncio
import tarfile
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from safelight.assets import checksums
from safelight.backup import archive, store
from safelight.backup.archive import CHECKSUMS, Sink, Writer
from safelight.backup.errors import BackupUnfit
from safelight.db.engine import Database
from safelight.db.migrate import newest_revision
from safelight.db.tables import assets, originals, trash, variants
from safelight.errors import NotFound
from safelight.json_object import JsonObject
from safelight.storage.storage import Storage

_MANIFEST = "manifest.json"
_ROWS, _OBJECTS = "rows/", "objects/"
_FORMAT = 2
_MAX_MANIFEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Summary:
    """The content of a backup.

    `gone` counts objects whose rows were removed while it was made. `lost` has the keys of objects
    that rows name and storage lacks, `damaged` those whose bytes differ from their checksum.
    """

    rows: int
    objects: int
    gone: int = 0
    lost: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


async def back_up(
    database: Database,
    storage: Storage,
    out: Sink,
    scratch: Path,
    *,
    account_id: str | None = None,
) -> Summary:
    """Write a backup of everything or of one account to the stream `out`.

    Raises `NotFound` if there is no such account.
    """
    if account_id and not await database.read(lambda tx: store.is_there(tx, account_id)):
        raise NotFound("There is no such account.")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="backup-") as name:
        folder = Path(name)
        counts = await database.read(lambda tx: store.dump(tx, folder, account_id))
        writer = Writer(out, folder)
        await asyncio.to_thread(_add_rows, writer, folder, counts, account_id)
        added, missing, damaged = await _add_objects(writer, storage, folder)
        await asyncio.to_thread(writer.finish)
        lost: set[str] = set()
        if missing:  # by now their rows may be gone as well
            await database.read(lambda tx: store.dump(tx, folder, account_id))
            lost = missing & set(_objects(folder))
    gone = len(missing - lost)
    return Summary(sum(counts.values()), added, gone, tuple(sorted(lost)), damaged)


async def verify(source: Path) -> JsonObject:
    """Compare a backup with its checksums, and return its manifest; needs no installation.

    Raises `BackupUnfit` if it is damaged, incomplete or no backup.
    """
    with tempfile.TemporaryDirectory(prefix="verify-") as name:
        found = await archive.verify(source, Path(name))
        async with archive.opened(source) as tar:
            entry = await asyncio.to_thread(tar.next)
            if entry is None or entry.name != _MANIFEST or entry.size > _MAX_MANIFEST:
                raise BackupUnfit(f"{source} is not a backup: it has no manifest.")
            await asyncio.to_thread(archive.extract, tar, entry, Path(name, _MANIFEST))
        return _manifest(Path(name)) | {"entries": found.entries, "lost": sorted(found.lost)}


async def restore(database: Database, storage: Storage, source: Path, scratch: Path) -> Summary:
    """Restore a backup into an empty installation with the current schema.

    Raises `BackupUnfit` if the file is no valid backup of this version, or the installation is
    not empty.
    """
    if not await database.read(store.is_empty):
        raise BackupUnfit("A backup can only be restored into an empty installation.")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="restore-") as name:
        folder = Path(name)

        async def admit(told: JsonObject) -> None:
            if told.get("account"):
                raise BackupUnfit("This is an account's export: use `safelight account import`.")

        _, done = await _read(source, storage, folder, admit)
        await database.write(lambda tx: store.load(tx, folder))
    return done


async def import_account(
    database: Database, storage: Storage, source: Path, scratch: Path
) -> tuple[str, Summary]:
    """Import an exported account into an installation that does not have it; return its id.

    Raises `BackupUnfit` as `restore` does, and if ids or keys of the account are in use here.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="import-") as name:
        folder = Path(name)

        async def admit(told: JsonObject) -> None:
            account_id = told.get("account")
            if not account_id:
                raise BackupUnfit("This is not an export of one account: use `safelight restore`.")
            if await database.read(lambda tx: store.is_there(tx, account_id)):
                raise BackupUnfit(f"The account {account_id} exists here already.")
            if found := await database.read(lambda tx: store.foreign(tx, folder)):
                raise BackupUnfit(f"{found} exists here already, in another account.")

        told, done = await _read(source, storage, folder, admit)
        await database.write(lambda tx: store.load_account(tx, folder))
    return told["account"], done


# --- writing --------------------------------------------------------------------------------------


def _add_rows(writer: Writer, folder: Path, counts: dict[str, int], account_id: str | None) -> None:
    told = {
        "format": _FORMAT,
        "safelight": version("safelight"),
        "schema": newest_revision(),
        "account": account_id,
        "made_at": datetime.now(UTC),
        "rows": counts,
    }
    content = orjson.dumps(told, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2)
    (folder / _MANIFEST).write_bytes(content)
    writer.add(_MANIFEST, folder / _MANIFEST)
    for table in store.kept_tables(account_id):
        name = store.file_name(table)
        writer.add(f"{_ROWS}{name}", folder / name)


async def _add_objects(
    writer: Writer, storage: Storage, folder: Path
) -> tuple[int, set[str], tuple[str, ...]]:
    """Add the objects; return their count, and the keys of the missing and the damaged ones."""
    copy = folder / "object"
    added = 0
    missing: set[str] = set()
    damaged: list[str] = []
    for key, expected in sorted(_objects(folder).items()):
        try:
            await storage.copy_to(key, copy)
        except NotFound:
            missing.add(key)
            writer.lose(key)
            continue
        found = await asyncio.to_thread(writer.add, f"{_OBJECTS}{key}", copy)
        added += 1
        if expected and found != expected:
            damaged.append(key)
    return added, missing, tuple(damaged)


def _objects(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each object that rows name, by key; empty if no row records it."""
    found: dict[str, str] = {}

    def add(more: Mapping[str, str]) -> None:
        for key, checksum in more.items():
            found[key] = checksum or found.get(key, "")

    for row in _rows(folder, assets):
        add(checksums.of_row(row))
    for row in _rows(folder, trash):
        add(checksums.of_row(row["row"]))
    for table in (variants, originals):
        for row in _rows(folder, table):
            add({row["key"]: row["sha256"] or ""})
    return found


def _rows(folder: Path, table: Any) -> Iterator[JsonObject]:
    return store.lines(folder / store.file_name(table))


# --- reading --------------------------------------------------------------------------------------


# Validates the rows before any object is stored; raises `BackupUnfit` to reject them.
Admit = Callable[[JsonObject], Awaitable[None]]


async def _read(
    source: Path, storage: Storage, folder: Path, admit: Admit
) -> tuple[JsonObject, Summary]:
    """Verify the file, then extract rows to `folder` and objects to storage."""
    verified = await archive.verify(source, folder)
    async with archive.opened(source) as tar:
        named, stored = await _take(tar, storage, folder, admit)
    if left := sorted(named - stored - verified.lost):
        raise BackupUnfit(f"{source} is not a complete backup: {left[0]} is missing.")
    told = _checked(folder)
    lost = tuple(sorted(named & verified.lost))
    return told, Summary(sum(told["rows"].values()), len(stored), lost=lost)


async def _take(
    tar: tarfile.TarFile, storage: Storage, folder: Path, admit: Admit
) -> tuple[set[str], set[str]]:
    """Return the keys that rows name, and those of the stored objects."""
    copy = folder / "object"
    stored: set[str] = set()
    named: set[str] | None = None  # once the rows are admitted
    while (entry := await asyncio.to_thread(tar.next)) and entry.name != CHECKSUMS:
        if entry.name.startswith(_OBJECTS):
            if named is None:
                named = await _admit(folder, admit)
            key = entry.name.removeprefix(_OBJECTS)
            if key not in named:
                raise BackupUnfit(f"{entry.name} belongs to no row.")
            await asyncio.to_thread(archive.extract, tar, entry, copy)
            await storage.put(key, copy)
            stored.add(key)
        elif entry.name == _MANIFEST and entry.size <= _MAX_MANIFEST:
            await asyncio.to_thread(archive.extract, tar, entry, folder / _MANIFEST)
            _checked(folder)
        elif entry.name.removeprefix(_ROWS) in _files_of(folder) and named is None:
            target = folder / entry.name.removeprefix(_ROWS)
            await asyncio.to_thread(archive.extract, tar, entry, target)
        else:
            raise BackupUnfit(f"{entry.name} does not belong in a backup.")
    return (await _admit(folder, admit) if named is None else named), stored


async def _admit(folder: Path, admit: Admit) -> set[str]:
    """Validate the rows, and return the keys that they name."""
    told = _checked(folder)
    for name in _files_of(folder):
        if not (folder / name).exists():
            raise BackupUnfit(f"The file is not a complete backup: {name} is missing.")
    await admit(told)
    return set(_objects(folder))


def _files_of(folder: Path) -> set[str]:
    account_id: str | None = _checked(folder).get("account")
    return {store.file_name(table) for table in store.kept_tables(account_id)}


def _checked(folder: Path) -> JsonObject:
    """Return the manifest; raise `BackupUnfit` unless this version can read the backup."""
    told = _manifest(folder)
    if told["schema"] != newest_revision():
        raise BackupUnfit(
            f"The backup has schema {told['schema']}, this installation {newest_revision()}: "
            "restore it with the version that made it, then upgrade."
        )
    return told


def _manifest(folder: Path) -> JsonObject:
    try:
        told: JsonObject = orjson.loads((folder / _MANIFEST).read_bytes())
        form, _ = told["format"], told["schema"]
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError, KeyError):
        raise BackupUnfit("The file is not a backup.") from None
    if form != _FORMAT:
        raise BackupUnfit(
            f"The backup has format {form}, this version reads {_FORMAT}: restore it with the "
            "version that made it, then upgrade."
        )
    return told

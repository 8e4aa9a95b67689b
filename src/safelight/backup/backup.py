"""Backups: a TAR with all rows and objects of an installation or an account, for any database.

A backup is restored into an empty installation, an exported account into one that does not have it.
Rows are read in one snapshot, then the objects that they name, which are immutable. A restore
stores the objects first: if interrupted, it leaves no rows and can be started again.
"""

import asyncio
import io
import tarfile
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from safelight.backup import store
from safelight.backup.errors import BackupUnfit
from safelight.db.engine import Database
from safelight.db.migrate import newest_revision
from safelight.db.tables import assets, originals, trash, variants
from safelight.errors import NotFound
from safelight.storage.storage import Storage

_MANIFEST = "manifest.json"
_ROWS, _OBJECTS = "rows/", "objects/"
_FORMAT = 1
_MAX_MANIFEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Summary:
    """The content of a backup; `missing` counts objects removed while it was made."""

    rows: int
    objects: int
    missing: int


async def back_up(
    database: Database,
    storage: Storage,
    target: Path,
    scratch: Path,
    *,
    account_id: str | None = None,
) -> Summary:
    """Write a backup of everything or of one account to `target`, atomically.

    Raises `NotFound` if there is no such account.
    """
    if account_id and not await database.read(lambda tx: store.is_there(tx, account_id)):
        raise NotFound("There is no such account.")
    draft = target.with_name(f".{target.name}.part")
    try:
        with tempfile.TemporaryDirectory(dir=scratch, prefix="backup-") as name:
            folder = Path(name)
            counts = await database.read(lambda tx: store.dump(tx, folder, account_id))
            with await asyncio.to_thread(tarfile.open, draft, "w") as tar:
                await asyncio.to_thread(_add_rows, tar, folder, counts, account_id)
                objects, missing = await _add_objects(tar, storage, folder)
        await asyncio.to_thread(draft.replace, target)
    finally:
        draft.unlink(missing_ok=True)
    return Summary(sum(counts.values()), objects, missing)


async def restore(database: Database, storage: Storage, source: Path, scratch: Path) -> Summary:
    """Restore a backup into an empty installation with the current schema.

    Raises `BackupUnfit` if the file is no valid backup of this version, or the installation is
    not empty.
    """
    if not await database.read(store.is_empty):
        raise BackupUnfit("A backup can only be restored into an empty installation.")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="restore-") as name:
        folder = Path(name)

        async def admit(told: dict[str, Any]) -> None:
            if told.get("account"):
                raise BackupUnfit("This is an account's export: use `safelight account import`.")

        told, objects = await _read(source, storage, folder, admit)
        await database.write(lambda tx: store.load(tx, folder))
        named = len(set(_keys(folder)))
    return Summary(sum(told["rows"].values()), objects, named - objects)


async def import_account(
    database: Database, storage: Storage, source: Path, scratch: Path
) -> tuple[str, Summary]:
    """Import an exported account into an installation that does not have it; return its id.

    Raises `BackupUnfit` as `restore` does, and if ids or keys of the account are in use here.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="import-") as name:
        folder = Path(name)

        async def admit(told: dict[str, Any]) -> None:
            account_id = told.get("account")
            if not account_id:
                raise BackupUnfit("This is not an export of one account: use `safelight restore`.")
            if await database.read(lambda tx: store.is_there(tx, account_id)):
                raise BackupUnfit(f"The account {account_id} exists here already.")
            if found := await database.read(lambda tx: store.foreign(tx, folder)):
                raise BackupUnfit(f"{found} exists here already, in another account.")

        told, objects = await _read(source, storage, folder, admit)
        await database.write(lambda tx: store.load_account(tx, folder))
        named = len(set(_keys(folder)))
    return told["account"], Summary(sum(told["rows"].values()), objects, named - objects)


# --- writing --------------------------------------------------------------------------------------


def _add_rows(
    tar: tarfile.TarFile, folder: Path, counts: dict[str, int], account_id: str | None
) -> None:
    told = {
        "format": _FORMAT,
        "safelight": version("safelight"),
        "schema": newest_revision(),
        "account": account_id,
        "made_at": datetime.now(UTC),
        "rows": counts,
    }
    content = orjson.dumps(told, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2)
    entry = tarfile.TarInfo(_MANIFEST)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
    for table in store.kept_tables(account_id):
        name = store.file_name(table)
        tar.add(folder / name, f"{_ROWS}{name}", filter=_plain)


async def _add_objects(tar: tarfile.TarFile, storage: Storage, folder: Path) -> tuple[int, int]:
    copy = folder / "object"
    added = missing = 0
    for key in sorted(set(_keys(folder))):
        try:
            await storage.copy_to(key, copy)
        except NotFound:
            missing += 1
            continue
        await asyncio.to_thread(tar.add, copy, f"{_OBJECTS}{key}", filter=_plain)
        added += 1
    return added, missing


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove ownership and permissions of this machine."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry


def _keys(folder: Path) -> Iterator[str]:
    """Yield the keys of all objects that rows name."""
    for row in store.lines(folder / store.file_name(assets)):
        yield from filter(None, (row["key"], row["original_key"]))
        yield from (each["key"] for each in row["renditions"].values())
    for row in store.lines(folder / store.file_name(trash)):
        kept = row["row"]
        yield from filter(None, (kept["key"], kept["original_key"]))
        yield from (each["key"] for each in kept["renditions"].values())
    for table in (variants, originals):
        for row in store.lines(folder / store.file_name(table)):
            yield row["key"]


# --- reading --------------------------------------------------------------------------------------


# Validates the rows before any object is stored; raises `BackupUnfit` to reject them.
Admit = Callable[[dict[str, Any]], Awaitable[None]]


async def _read(
    source: Path, storage: Storage, folder: Path, admit: Admit
) -> tuple[dict[str, Any], int]:
    """Extract rows to `folder` and objects to storage; return the manifest and the object count."""
    try:
        with await asyncio.to_thread(tarfile.open, source) as tar:
            objects = await _take(tar, storage, folder, admit)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BackupUnfit(f"{source} is not a complete backup: {error}") from None
    return _checked(folder), objects


async def _take(tar: tarfile.TarFile, storage: Storage, folder: Path, admit: Admit) -> int:
    copy = folder / "object"
    objects = 0
    named: set[str] | None = None  # keys that the rows name, once admitted
    while entry := await asyncio.to_thread(tar.next):
        if entry.name.startswith(_OBJECTS):
            if named is None:
                named = await _admit(folder, admit)
            key = entry.name.removeprefix(_OBJECTS)
            if key not in named:
                raise BackupUnfit(f"{entry.name} belongs to no row.")
            await asyncio.to_thread(_extract, tar, entry, copy)
            await storage.put(key, copy)
            objects += 1
        elif entry.name == _MANIFEST and entry.size <= _MAX_MANIFEST:
            await asyncio.to_thread(_extract, tar, entry, folder / _MANIFEST)
            _checked(folder)
        elif entry.name.removeprefix(_ROWS) in _files_of(folder) and named is None:
            await asyncio.to_thread(_extract, tar, entry, folder / entry.name.removeprefix(_ROWS))
        else:
            raise BackupUnfit(f"{entry.name} does not belong in a backup.")
    if named is None:
        await _admit(folder, admit)
    return objects


async def _admit(folder: Path, admit: Admit) -> set[str]:
    """Validate the rows, and return the keys that they name."""
    told = _checked(folder)
    for name in _files_of(folder):
        if not (folder / name).exists():
            raise BackupUnfit(f"The file is not a complete backup: {name} is missing.")
    await admit(told)
    return set(_keys(folder))


def _files_of(folder: Path) -> set[str]:
    account_id: str | None = _checked(folder).get("account")
    return {store.file_name(table) for table in store.kept_tables(account_id)}


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    content = tar.extractfile(entry)
    if content is None:
        raise BackupUnfit(f"{entry.name} is not a file.")
    with target.open("wb") as file:
        while piece := content.read(1 << 20):
            file.write(piece)


def _checked(folder: Path) -> dict[str, Any]:
    """Return the manifest; raise `BackupUnfit` unless this version can read the backup."""
    try:
        told = orjson.loads((folder / _MANIFEST).read_bytes())
        form, schema = told["format"], told["schema"]
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError, KeyError):
        raise BackupUnfit("The file is not a backup.") from None
    if form != _FORMAT or schema != newest_revision():
        raise BackupUnfit(
            f"The backup has schema {schema}, this installation {newest_revision()}: restore it "
            "with the version that made it, then upgrade."
        )
    return told

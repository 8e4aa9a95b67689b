"""Takes a photograph in with Safelight, as often as it is told.

`python -m bench.pictures SOURCE FOLDER [AT_ONCE]`: without AT_ONCE it does what a child does. With
it, it does the whole: children, notes in SQLite, storage on a disk that is synced.
"""

import asyncio
import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path

from bench.peers.asked import answer
from safelight.assets.intake import Intake, Origin
from safelight.cpu import CpuPool
from safelight.db.engine import open_database
from safelight.db.migrate import migrate
from safelight.media.pictures.ingest import take_in
from safelight.media.pictures.inspect import InspectRules
from safelight.storage.disk import DiskStorage
from tests.factories import new_account

_MODULES = (
    "safelight.media.pictures.decode",
    "safelight.media.pictures.render",
)  # what only children import


def child(source: Path, folder: Path) -> None:
    """Do what a child does, and keep the original."""
    take_in(source, folder, InspectRules(), serve=True)
    shutil.copyfile(source, folder / "original")


async def whole(source: Path, folder: Path, at_once: int) -> None:
    """Store the pictures of each input line permanently, `at_once` at a time."""
    database = open_database(f"sqlite:///{folder / 'safelight.db'}")
    await migrate(database)
    origin = Origin(await new_account(database))
    pool = CpuPool(at_once, modules=_MODULES)
    await pool.warm()
    intake = Intake(database, DiskStorage(folder / "objects"), pool, InspectRules())

    async def some(count: int, took: list[float]) -> None:
        for _ in range(count):
            began = time.perf_counter()
            row = await intake.keep_picture(source, origin, sanitize=True)
            took.append(time.perf_counter() - began)
            shutil.rmtree(source.parent / f"renditions-{row['id']}")

    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            took: list[float] = []
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(some(int(line) // at_once, took))
            print(json.dumps(took), flush=True)
    finally:
        await database.close()


def main() -> None:
    """Choose by the number of arguments."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    if len(sys.argv) > 3:
        asyncio.run(whole(source, folder, int(sys.argv[3])))
    else:
        answer(partial(child, source, folder))


if __name__ == "__main__":
    main()

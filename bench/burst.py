"""CPU time of one account's pictures, taken in one after another, four at a time.

It counts this process, the server of children and all its children, with their system time.
"""

import asyncio
import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.noise import noisy_png
from bench.sizes import Sizes
from bench.table import Row
from safelight.app import USED_IN_CHILDREN
from safelight.assets.intake import Intake, Origin
from safelight.cpu import CpuPool
from safelight.db.engine import open_database
from safelight.db.migrate import migrate
from safelight.media.pictures.inspect import InspectRules
from safelight.storage.disk import DiskStorage
from tests.factories import new_account

_AT_ONCE = 4
_WARM_UP = 8


async def burst(sizes: Sizes) -> list[Row]:
    """Measure small and usual PNGs, as outputs of a provider and as uploads."""
    return [
        await _measure(side, count, sanitize=sanitize)
        for side, count in ((64, sizes.burst), (1024, sizes.burst // 10))
        for sanitize in (False, True)
    ]


async def _measure(side: int, count: int, *, sanitize: bool) -> Row:
    with TemporaryDirectory() as name:
        folder = Path(name)
        database = open_database(f"sqlite:///{folder / 'safelight.db'}")
        await migrate(database)
        others = set(psutil.Process().children())
        pool = CpuPool(2, modules=USED_IN_CHILDREN)
        try:
            await pool.warm()
            intake = Intake(database, DiskStorage(folder / "objects"), pool, InspectRules())
            keep = partial(
                intake.keep_picture, origin=Origin(await new_account(database)), sanitize=sanitize
            )
            sources = [_picture(folder, side, seed) for seed in range(_WARM_UP + count)]
            for source in sources[:_WARM_UP]:
                await keep(source)
            (server,) = set(psutil.Process().children()) - others
            before = _spent(server)
            rest = iter(sources[_WARM_UP:])

            async def some() -> None:
                for source in rest:
                    await keep(source)

            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(some())
            ours, theirs = (
                (then - now) * 1000 / count
                for then, now in zip(_spent(server), before, strict=True)
            )
        finally:
            pool.close()
            await database.close()
    return {
        "PNG": f"{side} x {side}",
        "copy": "made" if sanitize else "as it is",
        "pictures": count,
        "server ms": ours,
        "children ms": theirs,
        "CPU ms": ours + theirs,
    }


def _picture(folder: Path, side: int, seed: int) -> Path:
    """Write a picture of its own in a folder of its own."""
    path = folder / str(seed) / "picture.png"
    path.parent.mkdir()
    path.write_bytes(noisy_png(side, seed))
    return path


def _spent(server: psutil.Process) -> tuple[float, float]:
    """Return the CPU seconds of this process, and of the server with all children it has had."""
    own = os.times()
    theirs = [server.cpu_times(), *(child.cpu_times() for child in server.children())]
    ended = theirs[0].children_user + theirs[0].children_system
    return own.user + own.system, ended + sum(each.user + each.system for each in theirs)

"""The largest memory that a process takes while something is measured."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

_EVERY_S = 0.25
_MIB = 2**20


@dataclass(slots=True)
class Peak:
    """Resident memory of the process itself, and of it with all that it started."""

    own_mib: float = 0.0
    tree_mib: float = 0.0


@asynccontextmanager
async def sampled(pid: int) -> AsyncGenerator[Peak]:
    """Yield the peak so far of process `pid`, kept up to date until the context ends."""
    process = psutil.Process(pid)
    peak = Peak()

    async def look() -> None:
        while True:
            peak.own_mib = max(peak.own_mib, process.memory_info().rss / _MIB)
            peak.tree_mib = max(peak.tree_mib, _tree_mib(process))
            await asyncio.sleep(_EVERY_S)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        try:
            yield peak
        finally:
            looking.cancel()


def _tree_mib(process: psutil.Process) -> float:
    """Return the tree's proportional set size: memory that forked processes share counts once."""
    total = 0
    for part in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a child that ended between the two looks
            total += part.memory_full_info().pss
    return total / _MIB

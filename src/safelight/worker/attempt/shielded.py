"""Protects important writes and cleanup from cancellation."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from safelight import ids

T = TypeVar("T")

_LAST_S = 10.0


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; on cancellation, give it some seconds to finish before it is canceled."""
    task = asyncio.create_task(work)  # noqa: TID251  ended in the `finally`
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_LAST_S)
        if task.done() and not task.cancelled():
            task.exception()  # retrieved, so that the loop does not report it
        raise
    finally:
        task.cancel()


@asynccontextmanager
async def scratch_folder(parent: Path) -> AsyncGenerator[Path]:
    """Yield the path of a folder for the caller to create on demand; it is always removed.

    An empty folder is removed without a thread, which would cost more than everything else here.
    """
    path = parent / ids.secret(80)
    try:
        yield path
    finally:
        try:
            path.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            await to_the_end(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))

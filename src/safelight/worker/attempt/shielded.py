"""Ends things properly where a run is canceled: writes that matter, folders that are left."""

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
    """Await `work`; when canceled meanwhile, let it finish for some seconds, then be canceled."""
    task = asyncio.create_task(work)  # noqa: TID251  ended in the `finally`
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_LAST_S)
        if task.done() and not task.cancelled():
            task.exception()  # nobody is left to hear of it
        raise
    finally:
        task.cancel()


@asynccontextmanager
async def scratch_folder(parent: Path) -> AsyncGenerator[Path]:
    """Yield the path of a new folder, for those who need it to make; removed however it ends.

    One that stayed empty goes without a thread, which would cost more than all else here.
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

"""Makes writes that many callers ask for at about the same moment in one transaction.

The first write goes at once; those that come meanwhile, or within the pace of some milliseconds
after it, go together. So the price of a commit, and of each statement, is shared the more the
busier it gets.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection

from safelight.db.engine import Database
from safelight.errors import ServiceError

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 500  # in one transaction


class Grouped(Generic[Item, Result]):
    """Calls `work` with the items of several callers; each gets its own result, or error.

    `work` returns one result for each item, in order; an exception among them is raised for that
    caller alone. What `work` raises itself undoes all: then each item is tried in a transaction of
    its own, so that one that breaks a rule harms no other.
    """

    def __init__(
        self,
        database: Database,
        work: Callable[[Connection, Sequence[Item]], Sequence[Result | Exception]],
        *,
        pace_s: float = 0.01,
    ) -> None:
        """Leave at least `pace_s` seconds between the end of one transaction and the next."""
        self._pace_s = pace_s
        self._db = database
        self._work = work
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._next_at = 0.0

    async def __call__(self, item: Item) -> Result:
        """Return the item's result once it is committed."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writer is None:
            # It ends by itself when nobody waits: those who called are the scope it belongs to.
            self._writer = asyncio.create_task(self._write_all())  # noqa: TID251
        return await done

    async def _write_all(self) -> None:
        group: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while self._waiting:
                await asyncio.sleep(max(self._next_at - time.monotonic(), 0))
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))]
                await self._write_group([pair for pair in group if not pair[1].done()])
                self._next_at = time.monotonic() + self._pace_s
        finally:
            self._writer = None
            for _, done in (*group, *self._waiting):  # only where this task was ended from outside
                done.cancel()

    async def _write_group(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._write([item for item, _ in group]) if group else []
        except ServiceError as error:  # an outage, which one after the other would meet as well
            results = [error] * len(group)
        except Exception as error:  # noqa: BLE001  it is the callers' to handle
            if len(group) > 1:
                for pair in group:
                    await self._write_group([pair])
                return
            results = [error]
        for (_, done), result in zip(group, results, strict=True):
            _settle(done, result)

    async def _write(self, items: list[Item]) -> Sequence[Result | Exception]:
        def work(tx: Connection) -> Sequence[Result | Exception]:
            return self._work(tx, items)

        work.__qualname__ = self._work.__qualname__
        return await self._db.write(work)


def _settle(done: asyncio.Future[Result], result: Result | Exception) -> None:
    if done.done():
        return  # whoever asked has left; the write stands
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)

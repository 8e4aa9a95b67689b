"""Coalesces concurrent writes of many callers into one transaction.

The first write runs at once; those that arrive while it runs, or within a few milliseconds after
it, run together. So the cost of commits and statements is shared more the higher the load.
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

_MOST = 500  # per transaction


class Coalesced(Generic[Item, Result]):
    """Calls `work` with the items of several callers; each gets its own result or error.

    `work` returns one result per item, in order; an exception among them is raised only for that
    caller. If `work` itself raises, everything is rolled back and each item is retried in its own
    transaction, so that an item that violates a constraint does not affect the others.
    """

    def __init__(
        self,
        database: Database,
        work: Callable[[Connection, Sequence[Item]], Sequence[Result | Exception]],
        *,
        pace_s: float = 0.01,
    ) -> None:
        """Wait at least `pace_s` seconds between the end of one transaction and the next."""
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
            # It ends when no caller waits, so it does not outlive its callers.
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
            for _, done in (*group, *self._waiting):  # only if this task was canceled from outside
                done.cancel()

    async def _write_group(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = await self._write([item for item, _ in group]) if group else []
        except ServiceError as error:  # an outage: single retries would fail too
            results = [error] * len(group)
        except Exception as error:  # noqa: BLE001  raised for each caller
            if len(group) > 1:
                for pair in group:
                    await self._write_group([pair])
                return
            results = [error]
        for (_, done), result in zip(group, results, strict=True):
            _resolve(done, result)

    async def _write(self, items: list[Item]) -> Sequence[Result | Exception]:
        def work(tx: Connection) -> Sequence[Result | Exception]:
            return self._work(tx, items)

        work.__qualname__ = self._work.__qualname__
        return await self._db.write(work)


def _resolve(done: asyncio.Future[Result], result: Result | Exception) -> None:
    if done.done():
        return  # the caller has left; the write stands
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)

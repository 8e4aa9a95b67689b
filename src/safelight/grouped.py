"""Grouped reads: callers that ask while a read is under way share the next one.

Every answer is of a read that began after its caller asked, so nobody sees an older state.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_MOST = 200  # questions of one read
_AT_ONCE = 2  # reads under way: a slow one holds up no other


class Grouped(Generic[Asked, Answer]):
    """Passes lists of questions to `read`, which returns their answers in the same order."""

    def __init__(
        self, read: Callable[[Sequence[Asked]], Coroutine[Any, Any, Sequence[Answer]]]
    ) -> None:
        self._read = read
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._readers: set[asyncio.Task[None]] = set()

    async def __call__(self, asked: Asked) -> Answer:
        """Return the answer to one question; raise what its read raises."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if len(self._readers) < _AT_ONCE:
            # Of no request, as it reads for many; it ends once nobody waits.
            reader = asyncio.create_task(self._answer(), context=Context())  # noqa: TID251
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
        return await answer

    async def _answer(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))]
            group = [pair for pair in taken if not pair[1].done()]  # the others have left
            if group:
                await self._answer_all(group)

    async def _answer_all(self, group: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._read([asked for asked, _ in group])
            for (_, answer), found in zip(group, answers, strict=True):
                if not answer.done():
                    answer.set_result(found)
        except Exception as error:  # noqa: BLE001  each caller raises it
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
        finally:
            for _, answer in group:
                answer.cancel()  # of those that the end of the process leaves without an answer

"""Parses server-sent events (WHATWG HTML, 9.2.6) out of a body that arrives in parts."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from dataclasses import dataclass

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(Exception):
    """An event exceeds the size limit."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event that has data."""

    name: str
    data: str


async def events(parts: AsyncIterable[bytes], max_bytes: int) -> AsyncGenerator[Event, None]:
    """Yield each event that has data; raise `EventTooLarge` for one over `max_bytes`.

    A last event without its closing blank line still counts, since its data may be paid for.
    """
    reader = _Reader(max_bytes)
    async for part in parts:
        for event in reader.take(part):
            yield event
    for event in reader.take(b"\n\n"):
        yield event


class _Reader:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0  # in the lines of this event
        self._name = ""
        self._data: list[str] = []
        self._line = bytearray()
        self._is_first = True
        self._after_return = False  # so that a line feed belongs to the last line's end

    def take(self, part: bytes) -> Iterator[Event]:
        if not part:
            return
        if self._after_return:
            part = part.removeprefix(b"\n")
        self._after_return = part.endswith(b"\r")
        *ended, rest = part.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in ended:
            self._line += line
            whole = bytes(self._line)
            self._line.clear()
            yield from self._end(whole)
        self._line += rest
        self._check(len(self._line))

    def _end(self, line: bytes) -> Iterator[Event]:
        if self._is_first:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            self._is_first = False
        if not line:
            if data := "\n".join(self._data):
                yield Event(self._name or "message", data)
            self._bytes, self._name, self._data = 0, "", []
            return
        self._bytes += len(line)
        self._check(0)
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode(errors="replace")
        if field == b"data":
            self._data.append(text)
        elif field == b"event":
            self._name = text

    def _check(self, unfinished: int) -> None:
        if self._bytes + unfinished > self._max_bytes:
            raise EventTooLarge

"""Reads server-sent events from bytes as they come (https://html.spec.whatwg.org/, 9.2)."""

from collections.abc import Iterator
from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"


class FrameTooLargeError(Exception):
    """One frame has more bytes than may be held."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event: its type, empty where none was told, and its data."""

    kind: str
    data: bytes


class FrameReader:
    """Collects lines into frames of at most `max_bytes`; a frame ends with an empty line."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._data = bytearray()
        self._kind = ""
        self._after_cr = False
        self._is_first = True

    def feed(self, part: bytes) -> Iterator[Frame]:
        """Yield the frames that end in `part`."""
        if not part:
            return
        if self._after_cr:
            part = part.removeprefix(b"\n")  # the other half of a line's end
        self._after_cr = part.endswith(b"\r")
        for piece in part.splitlines(keepends=True):
            self._line += piece
            if len(self._line) + len(self._data) > self._max_bytes:
                raise FrameTooLargeError
            if piece.endswith((b"\n", b"\r")):
                yield from self._end_line()

    def close(self) -> Iterator[Frame]:
        """Yield the frame whose empty line never came; what is in it may be paid for."""
        if self._line:
            yield from self._end_line()
        yield from self._end_frame()

    def _end_line(self) -> Iterator[Frame]:
        line = bytes(self._line).rstrip(b"\r\n")
        self._line.clear()
        if self._is_first:
            line, self._is_first = line.removeprefix(_BOM), False
        if not line:
            yield from self._end_frame()
            return
        name, _, value = line.partition(b":")  # a comment has an empty name
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value + b"\n"
        elif name == b"event":
            self._kind = value.decode(errors="replace")

    def _end_frame(self) -> Iterator[Frame]:
        kind, self._kind = self._kind, ""
        data = bytes(self._data[:-1])
        self._data.clear()
        if data:
            yield Frame(kind, data)

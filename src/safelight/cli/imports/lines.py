"""Reads a list as lines of bounded length, from a file or a pipe, and never the whole of it."""

import codecs
import io
import os
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TextIO

from safelight.cli.arguments import open_file
from safelight.cli.failure import BadUse

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STANDARD_INPUT = "-"
MAX_LINE = 1 << 16  # characters
_BUFFER_BYTES = 1 << 16
_LOOK_EVERY_S = 0.2
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# A lone surrogate stands for undecodable bytes: no codec returns one by itself.
_MARK = "\udcff"
_NOT_TEXT = "cannot be decoded as {}; save the list as UTF-8 or name its --encoding"


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; one with a `fault` has no text."""

    number: int
    text: str
    fault: str = ""


def open_list(name: str, stopping: threading.Event, encoding: str | None = None) -> TextIO:
    """Open the list that the user named; a pipe ends early when `stopping` is set.

    Without `encoding` it is UTF-8, or UTF-16 with a byte order mark. Raises `BadUse` if the
    beginning cannot be decoded.
    """
    file: BinaryIO
    if name == STANDARD_INPUT:
        file = pipe = io.BufferedReader(_Pipe(0, stopping), _BUFFER_BYTES)
        head = pipe.peek()
    else:
        file = open_file(name)
        head = file.read(_BUFFER_BYTES)
        file.seek(0)
    encoding = encoding or ("utf-16" if head.startswith(_UTF_16_MARKS) else "utf-8")
    try:
        _check_head(name, head, encoding)
    except BadUse:
        file.close()
        raise
    return as_text(file, encoding)


def as_text(file: BinaryIO, encoding: str = "utf-8") -> TextIO:
    """Return `file` as text whose lines end with LF, CR or both; undecodable bytes are marked."""
    # Both skip a byte order mark.
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    return io.TextIOWrapper(file, encoding=name, errors="safelight.marked", newline=None)


def read_lines(file: TextIO, stopping: threading.Event) -> Iterator[Line]:
    """Yield the lines of `file` until `stopping`."""
    number = 0
    while not stopping.is_set() and (text := file.readline(MAX_LINE)):
        number += 1
        if len(text) == MAX_LINE and not text.endswith("\n"):
            _skip_line(file)
            yield Line(number, "", f"longer than {MAX_LINE} characters")
        elif _MARK in text:
            yield Line(number, "", _NOT_TEXT.format(file.encoding.removesuffix("-sig").upper()))
        else:
            yield Line(number, text.rstrip("\n"))


def _check_head(name: str, head: bytes, encoding: str) -> None:
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise BadUse(f"--encoding: Python knows no encoding {encoding!r}.") from None
    try:
        text = decoder.decode(head)
    except UnicodeError as error:
        line = len(head[: getattr(error, "start", 0)].splitlines() or [b""])
        raise BadUse(f"{name}: line {line} {_NOT_TEXT.format(encoding.upper())}.") from None
    if "\x00" in text:
        raise BadUse(
            f"{name} is not a list: it holds NUL bytes. Name its --encoding, if it is text."
        )


def _marked(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return _MARK, error.end
    raise error


codecs.register_error("safelight.marked", _marked)


def _skip_line(file: TextIO) -> None:
    while (part := file.readline(MAX_LINE)) and not part.endswith("\n"):
        pass


class _Pipe(io.RawIOBase):
    """A pipe whose reader can be stopped while nothing comes: nobody waits for it at Ctrl-C."""

    def __init__(self, descriptor: int, stopping: threading.Event) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._stopping = stopping

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        while not self._stopping.is_set():
            if select.select([self._descriptor], [], [], _LOOK_EVERY_S)[0]:
                found = os.read(self._descriptor, len(memoryview(buffer)))
                memoryview(buffer)[: len(found)] = found
                return len(found)
        return 0

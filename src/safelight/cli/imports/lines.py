"""Reads a list as lines of bounded length, from a file or a pipe, and never the whole of it."""

import io
import os
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from safelight.cli.arguments import open_file
from safelight.cli.failure import BadUse

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STANDARD_INPUT = "-"
MAX_LINE_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 16
_LOOK_EVERY_S = 0.2
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; one that is too long has no text."""

    number: int
    text: str
    fits: bool = True


def open_list(name: str, stopping: threading.Event) -> BinaryIO:
    """Open the list that the user named; a pipe ends early when `stopping` is set."""
    file: BinaryIO
    if name == STANDARD_INPUT:
        file = pipe = io.BufferedReader(_Pipe(0, stopping), _BUFFER_BYTES)
        head = pipe.peek()
    else:
        file = open_file(name)
        head = file.read(_BUFFER_BYTES)
        file.seek(0)
    if b"\x00" in head:
        file.close()
        raise BadUse(f"{name} is not a list: it holds other bytes than UTF-8 text.")
    return file


def read_lines(file: BinaryIO, stopping: threading.Event) -> Iterator[Line]:
    """Yield the lines of `file` until `stopping`; what is not UTF-8 in them is replaced."""
    number = 0
    while not stopping.is_set() and (raw := file.readline(MAX_LINE_BYTES)):
        number += 1
        if number == 1:
            raw = raw.removeprefix(_BOM)
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            _skip_line(file)
            yield Line(number, "", fits=False)
        else:
            yield Line(number, raw.decode(errors="replace").rstrip("\r\n"))


def _skip_line(file: BinaryIO) -> None:
    while (part := file.readline(MAX_LINE_BYTES)) and not part.endswith(b"\n"):
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

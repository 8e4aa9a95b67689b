"""A GPU process: reads orders from its standard input, makes pictures, and says how far it is.

Started by `device.py`, and by nobody else. It ends by itself when the server's end of the pipe
closes, however the server ended.
"""

import os
import queue
import resource
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import BinaryIO

from safelight.providers.local.diffusers.messages import (
    MAX_LINE,
    Cancel,
    Failed,
    FromChild,
    Load,
    Make,
    Progress,
    Ready,
    Setup,
    ToChild,
    line_from_child,
    read_to_child,
)

_STATM = Path("/proc/self/statm")
_STATM_DATA = 5  # the field of data and stack, in pages
_BROKEN = 1


class Inbox:
    """What the server says, read by a thread of its own, so that a cancel is heard during work."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._waiting: queue.Queue[Setup | Make | Load] = queue.Queue(maxsize=2)
        self._canceled = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def take(self) -> Setup | Make | Load:
        """Wait for the next thing to do. A cancel that came before it was of something else."""
        return self._waiting.get()

    def is_canceled(self) -> bool:
        return self._canceled.is_set()

    def _listen(self) -> None:
        while line := self._source.readline(MAX_LINE):
            self._sort(read_to_child(line))
        os._exit(0)  # the server is gone: nobody wants what is being made

    def _sort(self, message: ToChild) -> None:
        if isinstance(message, Cancel):
            self._canceled.set()
        else:
            self._canceled.clear()
            self._waiting.put(message)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Libraries may print: that must not look like an answer.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    inbox = Inbox(sys.stdin.buffer)
    setup = inbox.take()
    if not isinstance(setup, Setup):
        raise TypeError("The first line must say what to work on.")
    _serve(setup, inbox, answers)


def _serve(setup: Setup, inbox: Inbox, answers: BinaryIO) -> None:
    from safelight.providers.local.diffusers import engine  # noqa: PLC0415  takes seconds, only here

    studio = engine.Studio(setup, inbox.is_canceled)
    if setup.memory_bytes is not None:
        _limit_memory(setup.memory_bytes)
    versions = engine.versions()
    _say(answers, Ready(torch=versions[0], diffusers=versions[1]))
    while True:
        work = inbox.take()
        if isinstance(work, Setup):
            raise TypeError("A process is set up once.")
        try:
            answer = studio.do(work, lambda *how_far: _say(answers, Progress(*how_far)))
        except Exception as error:  # noqa: BLE001  told to the server
            traceback.print_exc()
            _say(answers, Failed("failed", f"The model failed ({type(error).__name__}).", ()))
            sys.exit(_BROKEN)  # what nobody foresaw may have left the device broken
        _say(answers, answer)


def _say(answers: BinaryIO, message: FromChild) -> None:
    answers.write(line_from_child(message))


def _limit_memory(more: int) -> None:
    """Let this process add `more` bytes to the memory that it can write to."""
    pages = int(_STATM.read_text().split()[_STATM_DATA])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    main()

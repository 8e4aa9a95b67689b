"""GPU process: reads orders from stdin, makes pictures, and reports its progress on stdout.

Started only by `device.py`. It exits when the server's end of the pipe closes, for whatever reason.
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
    """Messages from the server, read in a thread, so that a cancel arrives during work."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._waiting: queue.Queue[Setup | Make | Load] = queue.Queue(maxsize=2)
        self._canceled = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def take(self) -> Setup | Make | Load:
        """Wait for the next order; a cancel that came before it was for earlier work."""
        return self._waiting.get()

    def is_canceled(self) -> bool:
        return self._canceled.is_set()

    def _listen(self) -> None:
        while line := self._source.readline(MAX_LINE):
            self._sort(read_to_child(line))
        os._exit(0)  # the server is gone, so the work is pointless

    def _sort(self, message: ToChild) -> None:
        if isinstance(message, Cancel):
            self._canceled.set()
        else:
            self._canceled.clear()
            self._waiting.put(message)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Libraries may print to stdout, which must not mix with the messages.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    inbox = Inbox(sys.stdin.buffer)
    setup = inbox.take()
    if not isinstance(setup, Setup):
        raise TypeError("The first message must be the setup.")
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
            answer = studio.do(work, lambda percent, stage: _say(answers, Progress(percent, stage)))
        except Exception as error:  # noqa: BLE001  reported to the server
            traceback.print_exc()
            _say(answers, Failed("failed", f"The model failed ({type(error).__name__}).", ()))
            sys.exit(_BROKEN)  # an unexpected error may have broken the device
        _say(answers, answer)


def _say(answers: BinaryIO, message: FromChild) -> None:
    answers.write(line_from_child(message))


def _limit_memory(more: int) -> None:
    """Limit this process to `more` bytes of writable memory beyond the present amount."""
    pages = int(_STATM.read_text().split()[_STATM_DATA])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    main()

"""Runs several processes of one command: one that dies is started again, a stop ends them all."""

import asyncio
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0  # a process that lived this long resets the pause


class Supervisor:
    """Keeps `count` processes of `command` running until a signal, then lets them finish.

    A second signal ends them at once. Their standard input ends with this process, however it ends,
    so that they can stop with it.
    """

    def __init__(self, command: Sequence[str], count: int, note: Callable[[str], None]) -> None:
        self._command = command
        self._count = count
        self._note = note
        self._children: set[Process] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Return when all processes have ended after a signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._count):
                    group.create_task(self._keep())
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def _keep(self) -> None:
        """Start one process, and another whenever it dies."""
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_one()
            if self._stopping.is_set():
                return
            if time.monotonic() - began >= _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            self._note(f"A process ended with {code}; another starts in {pause_s:g} s.")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _run_one(self) -> int:
        # In a session of its own: Ctrl-C reaches it once, through this process.
        child = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, start_new_session=True
        )
        self._children.add(child)
        try:
            if self._stopping.is_set():  # the signal came while it started
                child.terminate()
            return await child.wait()
        finally:
            self._children.discard(child)

    def _stop(self) -> None:
        if not self._stopping.is_set():
            self._note("Stopping, once what runs has ended; a second signal ends at once.")
        self._stopping.set()
        for child in self._children:
            with suppress(ProcessLookupError):
                child.terminate()

"""Runs heavy functions in child processes: each with limits, progress back, a kill on cancel.

Nothing heavy ever runs on the event loop. A hostile file that exhausts memory or time takes its
child down, never the worker.
"""

import asyncio
import functools
import importlib
import os
import resource
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_process

from safelight import ids
from safelight.errors import Remedy, SafelightError

T = TypeVar("T")
Report = Callable[[float, str], None]

_DATAGRAM_BYTES = 512
_CHILD_ENVIRONMENT = {
    # There is a child a core already: more threads in each would only cost memory.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "VIPS_CONCURRENCY": "1",
    # Each arena keeps what its threads have freed, which then counts against the next call.
    "MALLOC_ARENA_MAX": "2",
}
_STATM = Path("/proc/self/statm")
_STATM_DATA = 5  # the field of data and stack, in pages


class OutOfResources(SafelightError):
    """The work used more memory or processor time than one job may."""

    code = "out_of_resources"
    status = 500
    title = "The work exceeded its memory or time limit"
    remedy = Remedy.RETRY


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use: seconds of processor, bytes of memory, seconds on the clock.

    The memory is what the call may add to what its child has when it begins. Where the system does
    not tell that (outside Linux) it is the address space of the whole child.
    """

    cpu_s: int = 60
    memory_bytes: int = 4 * 2**30
    wall_s: float = 120.0


class CpuPool:
    """At most `size` children at once; idle ones are kept warm and end with the event loop."""

    def __init__(self, size: int) -> None:
        self.size = size
        for name, value in _CHILD_ENVIRONMENT.items():
            os.environ.setdefault(name, value)  # noqa: TID251  children inherit it
        self._limiter: anyio.CapacityLimiter | None = None
        self._calls: dict[str, Report] = {}
        self._ear: _Ear | None = None

    async def run(
        self,
        function: Callable[..., T],
        *args: Any,
        limits: Limits | None = None,
        report: Report | None = None,
    ) -> T:
        """Return `function(*args)`, computed in a child; both must pickle.

        Inside it, `cpu.report(percent, stage)` reaches `report` here. Raises what the function
        raises, and `OutOfResources` when it exceeds `limits`.
        """
        limits = limits or Limits()
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self.size)
        call = ids.secret(60)
        address = self._listen() if report else ""
        if report:
            self._calls[call] = report
        work = functools.partial(_in_child, function, args, limits, address, call)
        try:
            async with self._limiter:
                # The clock starts with the work, not with the wait for a free child.
                with anyio.fail_after(limits.wall_s):
                    return await anyio.to_process.run_sync(
                        work, cancellable=True, limiter=anyio.CapacityLimiter(1)
                    )
        except TimeoutError:
            raise OutOfResources(f"The work took longer than {limits.wall_s:g} s.") from None
        except anyio.BrokenWorkerProcess as broken:
            raise OutOfResources(
                "The work was ended by the system: too much memory or time."
            ) from broken
        except MemoryError:
            raise OutOfResources("The work needed more memory than one job may use.") from None
        finally:
            self._calls.pop(call, None)

    async def warm(self, modules: Sequence[str]) -> None:
        """Start every child and import `modules` there, so that the first call need not wait."""
        await asyncio.gather(*(self.run(_import, tuple(modules)) for _ in range(self.size)))

    def close(self) -> None:
        """Stop listening for progress. Children end with the event loop."""
        if self._ear is not None:
            self._ear.close()
            self._ear = None

    def _listen(self) -> str:
        if self._ear is None:
            self._ear = _Ear(self._calls)
        return self._ear.address


class _Ear:
    """A socket on which children say how far they are."""

    def __init__(self, calls: dict[str, Report]) -> None:
        self._calls = calls
        self._folder = tempfile.TemporaryDirectory(prefix="safelight-")
        self.address = str(Path(self._folder.name) / "progress")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._hear)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._folder.cleanup()

    def _hear(self) -> None:
        try:
            message = self._socket.recv(_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        call, percent, stage = message.decode(errors="replace").split("\n", 2)
        heard = self._calls.get(call)
        if heard:
            heard(float(percent), stage)


# --- inside the child ------------------------------------------------------------------------

_report: Report | None = None


def report(percent: float, stage: str) -> None:
    """Say how far the running call is; does nothing outside a child."""
    if _report is not None:
        _report(percent, stage)


def _import(modules: tuple[str, ...]) -> None:
    for name in modules:
        importlib.import_module(name)  # noqa: TID251  what a child has to have loaded


def _in_child(
    function: Callable[..., T], args: tuple[Any, ...], limits: Limits, address: str, call: str
) -> T:
    global _report  # noqa: PLW0603  a child runs one call at a time
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _soften(resource.RLIMIT_CPU, spent + limits.cpu_s + 1)
    _limit_memory(limits.memory_bytes)
    _soften(resource.RLIMIT_CORE, 0)
    if os.getpriority(os.PRIO_PROCESS, 0) == 0:
        os.nice(5)  # the event loop answers first
    if not address:
        return function(*args)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)

        def send(percent: float, stage: str) -> None:
            text = f"{call}\n{percent:.1f}\n{stage}".encode()[:_DATAGRAM_BYTES]
            try:
                channel.sendto(text, address)
            except OSError:  # a full queue or a parent that is gone: progress may be lost
                return

        _report = send
        try:
            return function(*args)
        finally:
            _report = None


def _limit_memory(more: int) -> None:
    """Let this process add `more` bytes to the memory that it can write to."""
    try:
        pages = int(_STATM.read_text().split()[_STATM_DATA])
    except FileNotFoundError:  # no Linux
        _soften(resource.RLIMIT_AS, more)
    else:
        _soften(resource.RLIMIT_DATA, pages * resource.getpagesize() + more)


def _soften(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))

"""Runs CPU-heavy functions in child processes, with limits, progress reports and cancellation.

Nothing CPU-heavy runs on the event loop. A hostile file that exhausts memory or time kills its
child, never the worker; what it may reach from there is in `safelight.cpu.cage`.
"""

import asyncio
import json
import math
import pickle
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import anyio

from safelight import telemetry
from safelight.cpu import results
from safelight.cpu.cage import cage, kernel
from safelight.cpu.call import MAX_STAGE, Request
from safelight.cpu.frames import Kind, packed, receive
from safelight.cpu.limits import Limits, OutOfResources
from safelight.cpu.visits import MOST_S, Visit, Visits
from safelight.errors import restored

T = TypeVar("T")
Report = Callable[[float, str], None]

_log = telemetry.logger(__name__)

_ENVIRONMENT = {  # all of it
    "LC_ALL": "C.UTF-8",
    # There is one child per core already: more threads would only use memory.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "VIPS_CONCURRENCY": "1",
    # Arenas retain freed memory.
    "MALLOC_ARENA_MAX": "2",
}
_NONSENSE = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
_MAIN = "from safelight.cpu.server import main; main()"


class ChildFailed(Exception):
    """A function raised an error that is no `SafelightError`, or its child answered nonsense."""


class CpuPool:
    """At most `size` concurrent calls, in processes forked from one warm server.

    Each call has a process of its own, unless it names a tenant: then the calls of that tenant
    that follow may use the same one (decision 0021).
    """

    def __init__(
        self, size: int, *, modules: Sequence[str] = (), beside: "CpuPool | None" = None
    ) -> None:
        """Import `modules` in the server, so that no call has to; "module:function" is called too.

        With `beside`, share the server of that pool, which must stay open as long.
        """
        self.size = size
        self._limiter: anyio.CapacityLimiter | None = None
        self.server = beside.server if beside else _Server(modules)
        self._owns_server = beside is None
        self._visits = Visits(size, self.server.open_call)
        self.server.visits.append(self._visits)

    async def run(
        self,
        function: Callable[..., T],
        *args: Any,
        reads: Iterable[Path] = (),
        writes: Iterable[Path] = (),
        limits: Limits | None = None,
        report: Report | None = None,
        tenant: str = "",
    ) -> T:
        """Return `function(*args)`, computed in a child; both must pickle.

        The child may read the files and folders `reads`, write in the folders `writes`, and use no
        others but the installed programs. It returns data of the type that the function declares:
        numbers, texts, bytes, lists, dataclasses, and paths in `writes`. In the child,
        `cpu.report(percent, stage)` calls `report` here. Raises the function's `SafelightError`,
        `OutOfResources` if it exceeds `limits`, and `ChildFailed` for any other error.

        With `tenant`, the child may have served calls of that tenant, and of no other; such a call
        uses no files, and its bytes are arguments and results.
        """
        limits = limits or Limits()
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self.size)
        request = Request(function, args, limits, _absolute(reads), _absolute(writes), bool(tenant))
        if tenant and (request.reads or request.writes):
            raise ValueError("A child that stays for other calls can be given no files.")
        async with self._limiter:
            try:
                # The wall-clock limit excludes the wait for a free child.
                with anyio.fail_after(limits.wall_s):
                    if tenant:
                        return await self._visit(tenant, request, report)
                    with self.server.open_call() as channel:
                        return await _call(channel, request, report)
            except TimeoutError:
                raise OutOfResources(f"The work took longer than {limits.wall_s:g} s.") from None

    async def warm(self) -> None:
        """Start the server, so that the first call need not wait for its imports."""
        await self.run(_nothing)

    def close(self) -> None:
        """End all children; with a shared server, only the idle ones of this pool."""
        self._visits.end()
        if self._owns_server:
            self.server.end()

    async def _visit(self, tenant: str, request: Request, report: Report | None) -> Any:
        """Do a call in the tenant's child, or in a new one.

        What a used child fails at may be due to its earlier calls: a new one has the last word.
        """
        if visit := self._visits.take(tenant, request.limits):
            with suppress(OutOfResources, ChildFailed):
                return await self._do(visit, request, report)
        visit = self._visits.start(tenant, request.limits)
        # The kernel adds up the CPU time of all its calls; those before took no more than this.
        limits = replace(request.limits, cpu_s=request.limits.cpu_s + MOST_S)
        return await self._do(visit, replace(request, limits=limits), report)

    async def _do(self, visit: Visit, request: Request, report: Report | None) -> Any:
        """Do a call in a child, which stays only if it succeeds."""
        visit.calls += 1
        try:
            result = await _call(visit.channel, request, report)
        except BaseException:
            visit.channel.close()
            raise
        self._visits.keep(visit)
        return result


async def _call(channel: socket.socket, request: Request, report: Report | None) -> Any:
    """Return the result of a call in the child at the other end; closing ours kills that."""
    loop = asyncio.get_running_loop()
    data = packed(Kind.REQUEST, pickle.dumps(request))
    try:
        await loop.sock_sendall(channel, data)
        kind, data = await _answer(channel, report)
        if kind is not Kind.RESULT:
            raise _error(kind, data)
        return results.decode(request.function, data, request.writes)
    except (EOFError, ConnectionError) as broken:
        raise OutOfResources(
            "The work was ended by the system: too much memory or time."
        ) from broken
    except _NONSENSE as error:
        raise ChildFailed("A child answered nonsense.") from error


async def _answer(channel: socket.socket, report: Report | None) -> tuple[Kind, bytes]:
    """Return the last message of a child, and pass its progress on until then."""
    while True:
        kind, data = await receive(channel)
        if kind is not Kind.PROGRESS:
            return kind, data
        percent, stage = json.loads(data)
        if report and math.isfinite(percent):
            report(float(percent), str(stage)[:MAX_STAGE])


def _error(kind: Kind, data: bytes) -> Exception:
    if kind is Kind.NO_MEMORY:
        return OutOfResources("The work needed more memory than one job may use.")
    if kind is Kind.REFUSAL:
        return restored(json.loads(data))
    return ChildFailed(data.decode(errors="replace"))


class _Server:
    """The process that forks a child for each call; started on demand, and again if it died."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self.visits: list[Visits] = []  # of each pool that uses it
        self._stop: weakref.finalize[..., Any] | None = None
        self._control: socket.socket | None = None

    def open_call(self) -> socket.socket:
        """Return our end of the channel to a new child."""
        ours, theirs = socket.socketpair()
        with theirs:
            if not self._hand_over(theirs):
                self._start()
                self._hand_over(theirs)  # if that fails too, the call hears the end at once
        ours.setblocking(False)
        return ours

    def _hand_over(self, channel: socket.socket) -> bool:
        if self._control is None:
            return False
        try:
            socket.send_fds(self._control, [b"c"], [channel.fileno()])
        except OSError:  # the server has died
            return False
        return True

    def end(self) -> None:
        """Kill the server and its children."""
        for visits in self.visits:
            visits.end()
        if self._stop is not None:
            self._stop()
        self._stop = self._control = None

    def _start(self) -> None:
        self.end()
        for part in cage.missing():
            _log.warning("the decoders' cage has a gap", part=part)
        kernel.hide_memory()
        control, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-c", _MAIN, json.dumps([_import_path(), self._modules])],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the parent
            )
        control.settimeout(1.0)  # its queue never fills, unless it hangs
        self._control = control
        self._stop = weakref.finalize(self, _stop, process, control)


def _stop(process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
    control.close()
    process.kill()
    process.wait()


def _absolute(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(path.absolute() for path in paths)


def _import_path() -> list[str]:
    return [str(Path(place).absolute()) for place in sys.path]


def _nothing() -> None:
    """Show that a child has started."""

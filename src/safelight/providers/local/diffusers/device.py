"""One device and its process, which is started on demand and restarted after a crash."""

import asyncio
import importlib.util
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress

import anyio

from safelight import telemetry
from safelight.cpu import OutOfResources
from safelight.providers.errors import ProviderError
from safelight.providers.local.diffusers.messages import (
    MAX_LINE,
    Answer,
    Cancel,
    Failed,
    Finished,
    FromChild,
    Load,
    Make,
    Progress,
    Ready,
    Setup,
    ToChild,
    line_to_child,
    read_from_child,
)

Report = Callable[[float, str], None]

_log = telemetry.logger(__name__)

_CHILD = "safelight.providers.local.diffusers.child"
_EXTRA = ("torch", "diffusers", "transformers", "accelerate", "peft")
_END_S = 5.0
_NOT_FOR_CHILDREN = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # set for the CPU pool's children


class Device:
    """Runs one piece of work at a time; callers must serialize."""

    def __init__(self, setup: Setup, *, start_s: float, cancel_s: float) -> None:
        self.name = setup.device
        self.warm: tuple[str, ...] = ()
        self.versions = Ready("", "")
        self._setup = setup
        self._start_s = start_s
        self._cancel_s = cancel_s
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The id of the running process."""
        return self._process.pid if self._process else None

    async def do(self, work: Make | Load, report: Report, within_s: float) -> Answer:
        """Return the process's answer to the work.

        Canceling stops the work and keeps the process warm, unless it does not stop in time. Raises
        `ProviderError` if the process dies, `OutOfResources` if it takes too long.
        """
        process = await self._running()
        survives = False
        try:
            async with asyncio.timeout(within_s):
                _write(process, work)
                answer = await self._answer(process, report)
            survives = True
        except TimeoutError:
            raise OutOfResources(f"The pictures took longer than {within_s:g} s.") from None
        except asyncio.CancelledError:
            survives = await self._call_off(process)
            raise
        finally:
            if not survives:
                await self.end()
        if _is_last(answer):
            await self.end()
        return answer

    async def end(self) -> None:
        """Kill the process, if there is one, and wait for its exit."""
        process, self._process, self.warm = self._process, None, ()
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                process.kill()
            with anyio.move_on_after(_END_S):
                await process.wait()
        if process.stdin:
            process.stdin.close()

    # --- the process -------------------------------------------------------------------------

    async def _running(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.end()
        started = False
        try:
            async with asyncio.timeout(self._start_s):
                process = self._process = await self._start()
                _write(process, self._setup)
                ready = await _hear(process)
            if not isinstance(ready, Ready):
                raise ProviderError("The GPU process does not speak as it should.")
            started = True
        except TimeoutError:
            raise ProviderError("The GPU process did not start in time.") from None
        finally:
            if not started:
                await self.end()
        self.versions = ready
        _log.info("gpu process started", device=self.name, pid=process.pid)
        return process

    async def _start(self) -> Process:
        if missing := missing_packages():
            raise ProviderError(
                f"This worker has no {missing}: install safelight[diffusers] there, or leave gpu "
                "out of its SAFELIGHT_LANES."
            )
        # Not forked: a child must not inherit threads, sockets, or a CUDA context.
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-X", "faulthandler", "-m", _CHILD),
            stdin=PIPE,
            stdout=PIPE,
            limit=MAX_LINE,
            env=_environment(offline=self._setup.offline),
        )

    async def _answer(self, process: Process, report: Report) -> Answer:
        while True:
            match await _hear(process):
                case Progress(percent=percent, stage=stage):
                    report(percent, stage)
                case Finished() | Failed() as answer:
                    self.warm = answer.warm
                    return answer
                case Ready():
                    raise ProviderError("The GPU process does not speak as it should.")

    async def _call_off(self, process: Process) -> bool:
        """Stop the work; return whether the process did so and can be reused."""
        with anyio.move_on_after(self._cancel_s, shield=True), suppress(ProviderError):
            _write(process, Cancel())
            return not _is_last(await self._answer(process, _nothing))
        return False


def missing_packages() -> str:
    """Return the packages of the extra that are not installed, comma-separated."""
    return ", ".join(name for name in _EXTRA if importlib.util.find_spec(name) is None)


def _is_last(answer: Answer) -> bool:
    """Return whether the process must be replaced.

    An unexpected error may have broken its device, and out-of-memory does not free everything.
    """
    return isinstance(answer, Failed) and answer.code in ("failed", "memory")


def _write(process: Process, message: ToChild) -> None:
    if process.stdin is None or process.stdin.is_closing():
        raise ProviderError("The GPU process died.")
    # One short line to a process that always reads: no need to drain.
    process.stdin.write(line_to_child(message))


async def _hear(process: Process) -> FromChild:
    if process.stdout is None:
        raise ProviderError("The GPU process has no output.")
    try:
        line = await process.stdout.readline()
    except ValueError:
        raise ProviderError("The GPU process sent a line that is too long.") from None
    if not line.endswith(b"\n"):
        raise ProviderError("The GPU process died.")
    try:
        return read_from_child(line)
    except ValueError:
        raise ProviderError("The GPU process does not speak as it should.") from None


def _environment(*, offline: bool) -> dict[str, str]:
    inherited = dict(os.environ)  # noqa: TID251  passed on, not read
    for name in _NOT_FOR_CHILDREN:
        inherited.pop(name, None)
    wanted = {"HF_HUB_DISABLE_TELEMETRY": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    if offline:
        wanted |= {"HF_HUB_OFFLINE": "1"}
    return inherited | wanted


def _nothing(_percent: float, _stage: str) -> None:
    """Ignore the progress of canceled work."""

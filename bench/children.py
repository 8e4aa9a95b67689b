"""Starts the programs that are measured; each ends with its context, and with the bench itself."""

import os
import signal
import socket
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers import tethered

_STOP_S = 40.0


@contextmanager
def running(
    *command: str | Path,
    log: Path,
    extra: Mapping[str, str] | None = None,
    user: str = "",
    on_death: signal.Signals = signal.SIGKILL,
    stop: signal.Signals = signal.SIGTERM,
) -> Generator[subprocess.Popen[bytes]]:
    """Yield the process of `command`, whose output goes to `log`; its whole group is gone after.

    `on_death` is what it gets where the bench itself is killed. It has a session of its own, so
    that a Ctrl-C reaches the bench alone, which then ends everything in order.
    """
    environment = os.environ | (extra or {})  # noqa: TID251  handed on to the program
    with log.open("ab") as output:
        process = subprocess.Popen(
            tethered(*command, on_death=on_death, user=user),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(stop)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started, as `kill -9` or a lost machine would."""
    with suppress(ProcessLookupError):  # all have ended by themselves
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listens(port: int) -> bool:
    """Return whether a process takes connections on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

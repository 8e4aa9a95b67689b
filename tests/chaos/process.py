"""One process of an installation in parts: it can be stopped, killed, frozen, started anew."""

import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.conftest import command, environment
from tests.leaks import LEAKS
from tests.servers import tethered, wait_until

START_S = 120.0  # of six on a busy machine
STOP_S = 20.0
_SKEWED = Path(__file__).with_name("skewed.py")
_AT_WORK = re.compile(r"The \w+ is at work|Safelight is ready at")


class RoleProcess:
    """`safelight` with some words, such as `worker`, under the settings of the installation."""

    def __init__(self, name: str, words: tuple[str, ...], home: Path, extra: Mapping[str, str]):
        self.name = name
        self.log = home / f"{name}.log"
        self._words = words
        self._home = home
        self._environment = environment(home / "data", {"SAFELIGHT_LOG_LEVEL": "debug", **extra})
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0
        self._was_told_to_end = True

    @property
    def pid(self) -> int:
        """The present process."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """The output of the present process."""
        return self.log.read_bytes()[self._from :].decode(errors="replace")

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def has_ended_by_itself(self) -> bool:
        """Say whether it is gone, though nobody has stopped or killed it."""
        return not self._was_told_to_end and self.exit_status is not None

    @property
    def has_worked(self) -> bool:
        """Say whether the present process came as far as its work."""
        return _AT_WORK.search(self.output) is not None

    def start(self, *, clock_off_s: float = 0.0) -> None:
        """Start it with its clock so far ahead, or behind, and do not wait."""
        skewed = (sys.executable, "-P", _SKEWED, str(clock_off_s), *self._words)
        self._was_told_to_end = False
        LEAKS.watch(self.log, self._environment)
        with self.log.open("ab") as output:
            self._from = output.tell()
            self._process = subprocess.Popen(
                tethered(*skewed) if clock_off_s else command(*self._words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self._home,  # where there is no .env
            )

    def await_start(self) -> None:
        """Return when it says that it is at work."""
        wait_until(self._is_at_work, START_S)

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.ask_to_stop()
        return self.end()

    def ask_to_stop(self) -> None:
        """Send what an operator would."""
        self._was_told_to_end = True
        self._send(signal.SIGTERM)

    def end(self, within_s: float = STOP_S) -> int:
        """Wait until it has ended, and return its exit status."""
        assert self._process is not None
        return self._process.wait(within_s)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._was_told_to_end = True
        self._send(signal.SIGKILL)
        self.end()

    def freeze(self) -> None:
        """Make it stand still, as a paused machine would."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""
        self._send(signal.SIGCONT)

    def close(self) -> None:
        """Leave no process, whatever the test did to it."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _send(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)

    def _is_at_work(self) -> bool:
        assert self.exit_status is None, f"{self.name} ended at start:\n{self.output}"
        return self.has_worked

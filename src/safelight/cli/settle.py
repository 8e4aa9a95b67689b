"""Runs a command's work to its end and returns its exit code; what can be expected is one line."""

import asyncio
import sys
from collections.abc import Coroutine

import uvloop

from safelight.cli.failure import INTERRUPTED, BadUse, Failure
from safelight.errors import SafelightError, SettingInvalid


def settle(work: Coroutine[None, None, None]) -> int:
    """Return the exit code of `work`; other errors than those of a user's day pass through."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except Failure as failure:
        return _complain(str(failure), failure.exit_code)
    except SettingInvalid as error:
        return _complain(error.detail, BadUse.exit_code)
    except SafelightError as error:
        return _complain(error.detail)
    except BrokenPipeError:
        raise  # the reader closed the pipe; typer exits quietly
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return _complain("Interrupted.", INTERRUPTED)
    return 0


def _complain(line: str, exit_code: int = 1) -> int:
    sys.stderr.write(f"safelight: {line}\n")
    return exit_code

"""Logs tell what went wrong and where, and no value of any variable; libraries tell less."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging
from safelight import telemetry

telemetry.configure_logs("debug", "{style}")
log = telemetry.logger("safelight.test")


def fail(key: str) -> None:
    inside = [key]
    raise ValueError(f"no luck with {{len(inside)}} key")


try:
    fail("sk_" + "a" * 30)
except ValueError:
    log.exception("it failed")
log.debug("a small thing")
logging.getLogger("botocore.auth").debug("signature of a library")
logging.getLogger("botocore.auth").warning("warning of a library")
"""


@pytest.mark.parametrize("style", ["console", "json"])
def test_log_when_something_fails_shows_the_place_and_no_variable(style: str) -> None:
    program = PROGRAM.format(style=style)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    for told in ("it failed", "no luck with 1 key", "in fail", "a small thing", "warning of a"):
        assert told in done.stderr, told
    assert "sk_" + "a" * 30 not in done.stderr
    assert "signature of a library" not in done.stderr

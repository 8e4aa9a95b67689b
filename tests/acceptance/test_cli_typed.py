"""The answers of `safelight` before it does anything."""

import subprocess
import sys

import pytest


def python(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words], check=False, capture_output=True, text=True, timeout=30
    )


def test_help_when_asked_for_loads_neither_the_server_nor_the_client() -> None:
    program = (
        "import sys\n"
        "from safelight.cli.commands import app\n"
        "heavy = {'pydantic', 'sqlalchemy', 'fastapi', 'httpx2', 'asyncio'} & set(sys.modules)\n"
        "print(*heavy, end='')\n"
    )
    assert python("-c", program).stdout == ""


def test_main_module_when_imported_by_a_child_runs_nothing() -> None:
    assert python("-c", "import safelight.__main__").stdout == ""


@pytest.mark.parametrize(
    "words",
    [("generate",), ("generate", "x", "--seed", "y"), ("nonsense",), ("jobs", "--limit", "0")],
)
def test_command_when_typed_wrong_exits_with_2(words: tuple[str, ...]) -> None:
    done = python("-m", "safelight", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_version_when_asked_for_is_one_line() -> None:
    for word in ("version", "--version"):
        done = python("-m", "safelight", word)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)

"""What `make run` installs is enough to run: the tests' own packages must not hide a gap."""

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
# The plugs of the extras: each says by itself what to install.
_EVERYTHING = """
import importlib, pkgutil, safelight
apart = {"safelight.__main__", *(f"safelight.doorbell.{name}" for name in ("redis", "nats", "sqs"))}
within = (".migrations.", "safelight.providers.sagemaker.")
children = ("child", "engine", "loading", "painting", "pictures")
within += tuple(f"safelight.providers.diffusers.{name}" for name in children)
for module in pkgutil.walk_packages(safelight.__path__, "safelight."):
    if module.name not in apart and not any(part in module.name for part in within):
        importlib.import_module(module.name)
"""


@pytest.mark.slow
def test_runtime_lock_when_installed_alone_lets_every_module_be_imported(tmp_path: Path) -> None:
    uv = str(_ROOT / ".tools" / "bin" / "uv")
    venv = tmp_path / "venv"
    python = str(venv / "bin" / "python")
    lock = str(_ROOT / "requirements.lock")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(venv)],
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock],
    ):
        subprocess.run(command, check=True, timeout=100)
    subprocess.run(
        [python, "-W", "error", "-c", _EVERYTHING],
        check=True,
        timeout=60,
        env={"PYTHONPATH": str(_ROOT / "src"), "PATH": ""},
    )

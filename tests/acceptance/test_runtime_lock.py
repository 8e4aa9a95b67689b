"""`make run` installs all that it needs: the tests' own packages must not hide a gap."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
# What needs an extra, and the package it lacks without; each is loaded only when a setting
# or the catalogue names it, by code that says what to install.
_EXTRAS = {
    "safelight.doorbell.nats": "nats",
    "safelight.doorbell.redis": "redis",
    "safelight.doorbell.sqs": "aiobotocore",
    "safelight.notifications.aws": "aiobotocore",
    "safelight.providers.local.diffusers.engine": "diffusers",
    "safelight.providers.local.diffusers.loading": "torch",
    "safelight.providers.local.diffusers.painting": "torch",
    "safelight.providers.local.diffusers.pictures": "PIL",
    "safelight.providers.remote.sagemaker.bring": "aiobotocore",
    "safelight.providers.remote.sagemaker.calls": "botocore",
    "safelight.providers.remote.sagemaker.credentials": "aiobotocore",
    "safelight.providers.remote.sagemaker.objects": "aiobotocore",
    "safelight.providers.remote.sagemaker.provider": "botocore",
    "safelight.providers.remote.sagemaker.watch": "botocore",
    "safelight.storage.cloudfront": "aiobotocore",
}
_LACKING = """
import importlib, json, pkgutil, safelight
lacking = {}
for module in pkgutil.walk_packages(safelight.__path__, "safelight."):
    # A migration runs inside Alembic alone, and `__main__` would run the program.
    if ".migrations." not in module.name and module.name != "safelight.__main__":
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            lacking[module.name] = error.name
print(json.dumps(lacking))
"""


@pytest.mark.slow
def test_runtime_lock_when_installed_alone_lets_all_but_the_extras_be_imported(
    tmp_path: Path,
) -> None:
    uv = str(_ROOT / ".tools" / "bin" / "uv")
    venv = tmp_path / "venv"
    python = str(venv / "bin" / "python")
    lock = str(_ROOT / "requirements.lock")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(venv)],
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock],
    ):
        subprocess.run(command, check=True, timeout=100)
    answer = subprocess.run(
        [python, "-W", "error", "-c", _LACKING],
        check=True,
        timeout=60,
        env={"PYTHONPATH": str(_ROOT / "src"), "PATH": ""},
        capture_output=True,
    )
    assert json.loads(answer.stdout) == _EXTRAS

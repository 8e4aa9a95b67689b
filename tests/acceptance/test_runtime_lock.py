"""Set-up for `make run` installs all that it needs, and no more than the limit."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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


_MOST_MB = 390  # and 10 for the history of a clone


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files in which set-up has run."""
    folder = tmp_path_factory.mktemp("checkout")
    script = 'git ls-files -z | xargs -0 cp --parents -t "$0" && "$0/scripts/setup.sh" run'
    subprocess.run(["bash", "-c", script, folder], check=True, timeout=280, cwd=_ROOT)
    return folder


@pytest.mark.timeout(300)
def test_setup_when_finished_leaves_a_small_checkout(checkout: Path) -> None:
    used = subprocess.run(["du", "-sm", checkout], check=True, timeout=60, capture_output=True)
    assert int(used.stdout.split()[0]) <= _MOST_MB


@pytest.mark.timeout(300)
def test_runtime_lock_when_installed_alone_lets_all_but_the_extras_be_imported(
    checkout: Path,
) -> None:
    answer = subprocess.run(
        [checkout / ".venv" / "bin" / "python", "-W", "error", "-c", _LACKING],
        check=True,
        timeout=60,
        env={"PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
    )
    assert json.loads(answer.stdout) == _EXTRAS

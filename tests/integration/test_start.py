"""The imports of a process of each role: an unneeded module costs memory and start time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from safelight.foundation import ProcessRole

# Of children, of vendors and stores that are not configured, and of rare requests.
NEEDLESS = {
    "PIL",
    "aiobotocore",
    "botocore",
    "cryptography",
    "cv2",
    "jinja2",
    "nats",
    "numpy",
    "onnxruntime",
    "pyvips",
    "redis",
    "resvg_py",
    "scipy",
    "snowballstemmer",
    "torch",
}
OF_THE_API = {"fastapi", "safelight.web.server"}
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from safelight.cli.hosting import serve
from safelight.app import open_safelight
from safelight.settings import Settings

async def main(folder, role):
    settings = Settings(data_dir=Path(folder))
    async with open_safelight(settings, frozenset({serve.ProcessRole(role)})) as whole:
        if role == "api":
            whole.asgi
        print(json.dumps(list(sys.modules)))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("role", ProcessRole)
def test_process_when_open_has_imported_only_parts_of_its_role(
    role: ProcessRole, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), role.value],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        timeout=120,
    )
    imported = set(json.loads(done.stdout))
    assert "safelight.composed" in imported
    needless = NEEDLESS if role is ProcessRole.API else NEEDLESS | OF_THE_API
    assert not needless & imported

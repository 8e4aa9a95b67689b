"""Extras of this package: how a missing one is installed into the environment that runs."""

import importlib.util
import shlex
import sys
from pathlib import Path


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra here."""
    checkout = Path(sys.prefix).parent
    if (checkout / ".tools/bin/uv").exists():  # made by `make run`
        where = shlex.quote(str(checkout))
        return f"cd {where} && .tools/bin/uv pip install -e '.[{extra}]'"
    python = shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is None:
        return f"uv pip install --python {python} 'safelight[{extra}]'"
    return f"{python} -m pip install 'safelight[{extra}]'"

"""The installed packages: none brings code that runs whenever Python starts."""

import site
from importlib.metadata import distributions
from pathlib import Path

# The checkout itself, and the environment's own; each is a path, or known code.
_EXPECTED = {
    "_editable_impl_safelight.pth",
    "_virtualenv.pth",
    "distutils-precedence.pth",
}


def _names() -> set[str]:
    recorded = {
        Path(str(file)).name
        for package in distributions()
        for file in package.files or ()
        if str(file).endswith(".pth") and len(file.parts) == 1
    }
    there = {path.name for folder in site.getsitepackages() for path in Path(folder).glob("*.pth")}
    return recorded | there


def test_packages_when_installed_bring_no_file_that_runs_at_start() -> None:
    assert _names() - _EXPECTED == set(), "read it, then take the package out or add it here"

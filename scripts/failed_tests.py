#!/usr/bin/env python3
"""Print the tests that failed in a run of scripts/recorded_pytest.sh, one a line.

    failed_tests.py FOLDER

Exits with 1 where a second run would prove nothing: pytest broke, or a file of tests could not be
loaded (which pytest-xdist reports as a failed test).
"""

import argparse
import json
import sys
from pathlib import Path

_TESTS_FAILED = "1"  # pytest: 2 and more are a broken collection, a bad option, a crash


def main() -> int:
    """Print the ids; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    status = _read(folder / "status").strip()
    ids = sorted(json.loads(_read(folder / "cache/v/cache/lastfailed") or "{}"))
    not_loaded = [one for one in ids if "::" not in one]
    if status != _TESTS_FAILED or not ids or not_loaded:
        why = (
            f"not loaded: {not_loaded}"
            if not_loaded
            else f"pytest ended with {status or 'nothing'}"
        )
        print(f"{why}: no test is run again", file=sys.stderr)
        return 1
    print("\n".join(ids))
    return 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())

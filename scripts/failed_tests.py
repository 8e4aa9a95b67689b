#!/usr/bin/env python3
"""Print the tests that failed in the last run that used a pytest cache, one a line.

    failed_tests.py CACHE --most 10

Exits with 1 where a second run proves nothing: no test failed, so the run itself broke, or more
than `--most` did, so the change did.
"""

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    """Print the ids; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--most", type=int, default=10)
    given = parser.parse_args()
    ids = _failed(given.cache / "v" / "cache" / "lastfailed")
    if not 0 < len(ids) <= given.most:
        print(f"{len(ids)} failed tests: not run again", file=sys.stderr)
        return 1
    print("\n".join(ids))
    return 0


def _failed(record: Path) -> list[str]:
    return sorted(json.loads(record.read_text())) if record.exists() else []


if __name__ == "__main__":
    sys.exit(main())

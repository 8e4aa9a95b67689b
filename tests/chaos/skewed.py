"""Runs `safelight` with a wall clock that is off: `skewed.py SECONDS WORD…`.

Monotonic time is left alone, as it is on a machine whose clock somebody has set wrong.
"""

import sys
import time

import time_machine

from safelight.cli import main


def run(seconds: str, *words: str) -> None:
    """Be the command line `words`, so many seconds ahead of everybody else."""
    time_machine.travel(time.time() + float(seconds), tick=True).start()
    sys.argv[1:] = words
    main()


if __name__ == "__main__":  # children that compute import this file too
    run(*sys.argv[1:])

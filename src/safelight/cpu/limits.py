"""Limits of one call to a child process, and the error of a call that exceeds them."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from safelight.errors import Remedy, SafelightError

_STATM = Path("/proc/self/statm")
_STATM_DATA = 5  # the field for data and stack, in pages
_LARGEST_FILE = 4 * 2**30  # bytes that a call may write to one file, in memory or on disk


class OutOfResources(SafelightError):
    """The work used more memory or CPU time than one job may."""

    code = "out_of_resources"
    status = 500
    title = "The work exceeded its memory or time limit"
    remedy = Remedy.RETRY


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one call: CPU seconds, bytes of memory, wall-clock seconds.

    The memory limit is what the call may allocate on top of its child's first memory. Outside
    Linux, where that is unknown, it limits the child's whole address space.
    """

    cpu_s: int = 60
    memory_bytes: int = 4 * 2**30
    wall_s: float = 120.0


def enforce(limits: Limits) -> None:
    """Limit this process for good, and let others go first."""
    _limit(resource.RLIMIT_CPU, limits.cpu_s + 1)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _LARGEST_FILE)
    try:
        pages = int(_STATM.read_text().split()[_STATM_DATA])
    except FileNotFoundError:  # not Linux
        _limit(resource.RLIMIT_AS, limits.memory_bytes)
    else:
        _limit(resource.RLIMIT_DATA, pages * resource.getpagesize() + limits.memory_bytes)
    os.nice(5)  # the event loop has priority


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (most, most))

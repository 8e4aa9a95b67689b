"""CPU time of a process and all that it started: a figure that a busy machine changes little."""

from contextlib import suppress

import psutil


def cpu_s(pid: int) -> float:
    """Return the seconds, user and system, of the tree's processes, ended children included."""
    process = psutil.Process(pid)
    total = 0.0
    for part in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # its parent counts it now
            spent = part.cpu_times()
            total += spent.user + spent.system + spent.children_user + spent.children_system
    return total

"""Calls of the C library that Python has no function for: prctl, capset and bare system calls."""

import ctypes
import os
import signal
import struct
import sys

_PDEATHSIG, _IS_DUMPABLE, _DUMPABLE, _NO_NEW_PRIVS = 1, 3, 4, 38  # options of prctl
_CAPABILITIES_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)

IS_LINUX = sys.platform == "linux"


def system_call(number: int, *args: object) -> int:
    """Return the result of a system call; raise `OSError` if it fails."""
    return _checked(_libc.syscall(ctypes.c_long(number), *args))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _prctl(_PDEATHSIG, signal.SIGKILL)


def hide_memory() -> None:
    """Keep other processes of the same user from reading this one's memory and environment."""
    _prctl(_DUMPABLE, 0)


def show_memory() -> None:
    """Undo `hide_memory`."""
    _prctl(_DUMPABLE, 1)


def is_memory_shown() -> bool:
    """Return whether other processes of the same user may read this one."""
    return _prctl(_IS_DUMPABLE, 0) == 1


def gain_nothing() -> None:
    """Give up gaining privileges by executing a file, for good."""
    _prctl(_NO_NEW_PRIVS, 1)


def drop_capabilities(keep: int = 0) -> None:
    """Give up all of root's privileges but the bits in `keep`."""
    head = struct.pack("=Ii", _CAPABILITIES_3, 0)
    kept = keep if os.geteuid() == 0 else 0
    _checked(_libc.capset(head, struct.pack("=6I", kept, kept, 0, 0, 0, 0)))


def _prctl(option: int, value: int) -> int:
    if not IS_LINUX:
        return 0
    return _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

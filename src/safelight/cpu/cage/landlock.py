"""Landlock: the files that this process may still reach, decided by itself and for good.

https://docs.kernel.org/userspace-api/landlock.html. The ABI is 1 in Linux 5.13, and 6 in 6.12.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from safelight.cpu.cage.kernel import IS_LINUX, system_call

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # flag: return the ABI
_PATH_BENEATH = 1

_EXECUTE, _WRITE, _READ, _LIST, _REMOVE_DIR, _REMOVE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_FILE, _TRUNCATE = 1 << 7, 1 << 8, 1 << 14
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE
_READING = _READ | _LIST
_WRITING = _READING | _WRITE | _REMOVE_DIR | _REMOVE | _MAKE_DIR | _MAKE_FILE | _TRUNCATE

_FIRST_ACCESSES = 13  # bits of the first ABI
_LATER_ACCESSES = {2: 13, 3: 14, 5: 15}  # ABI and its bit: refer, truncate, device control
_NETWORK_ABI, _TCP = 4, 0b11  # bind, connect
_SCOPE_ABI, _SCOPES = 6, 0b11  # abstract sockets, signals


def abi() -> int:
    """Return the version that the kernel supports; 0 for none."""
    if not IS_LINUX:
        return 0
    try:
        return system_call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    except OSError:
        return 0


def restrict(reads: Iterable[Path], writes: Iterable[Path]) -> None:
    """Deny every file but these and those beneath; paths that do not exist are skipped."""
    version = abi()
    handled = (1 << _FIRST_ACCESSES) - 1
    handled |= sum(1 << bit for since, bit in _LATER_ACCESSES.items() if version >= since)
    attributes = struct.pack("=Q", handled)
    if version >= _NETWORK_ABI:
        attributes += struct.pack("=Q", _TCP)
    if version >= _SCOPE_ABI:
        attributes += struct.pack("=Q", _SCOPES)
    rules = system_call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    for path in reads:
        _allow(rules, path, _READING & handled)
    for path in writes:
        _allow(rules, path, _WRITING & handled)
    system_call(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, path: Path, access: int) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(file).st_mode):
            access &= _OF_FILES
        system_call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, file), 0)
    finally:
        os.close(file)

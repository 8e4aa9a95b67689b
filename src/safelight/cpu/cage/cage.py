"""The cage of a call: what a process may do that decodes an untrusted file.

It reads its input and the installed programs, writes its folder, and has no network, no other
program, no other process and no privilege (decision 0021).
"""

import functools
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import safelight
from safelight.cpu.cage import kernel, landlock, seccomp

_DAC_OVERRIDE = 1 << 1  # a bit of the capabilities: any owner's files; Landlock says which
_TRUNCATE_ABI = 3

_SYSTEM = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share",
    "/lib",
    "/lib64",
    "/nix/store",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/dev/random",
    "/dev/urandom",
)
_SELF = "/proc/self"  # another place in each process
_NOTHING = Path("/dev/null")


def missing() -> list[str]:
    """Return the parts that this kernel lacks, each with what that means; empty is whole."""
    parts: list[str] = []
    version = landlock.abi()
    if version == 0:
        parts.append("no Landlock: a child could read the files of this user (Linux 5.13 has it)")
    elif version < _TRUNCATE_ABI:
        parts.append("an old Landlock: a child could empty files of this user (Linux 6.2)")
    if not seccomp.is_available():
        parts.append("no seccomp: a child could use the network and run programs")
    return parts


def close(reads: Iterable[Path], writes: Iterable[Path]) -> None:
    """Confine this process for good; parts that the kernel lacks are left out.

    Raises `OSError` if a part that it has cannot be used: then nothing must be decoded.
    """
    if not kernel.IS_LINUX:
        return
    kernel.gain_nothing()
    has_landlock = landlock.abi() > 0
    if has_landlock:
        landlock.restrict([*installed(), Path(_SELF), *reads], [_NOTHING, *writes])
    kernel.drop_capabilities(keep=_DAC_OVERRIDE if has_landlock else 0)
    if seccomp.is_available():
        seccomp.restrict()


@functools.cache
def installed() -> tuple[Path, ...]:
    """Return the folders of the interpreter, its packages, this package and the system."""
    paths = sysconfig.get_paths()
    found = {
        sys.prefix,
        sys.base_prefix,
        *(paths[name] for name in ("stdlib", "purelib", "platlib")),
    }
    own = Path(safelight.__file__).parent
    folders = {Path(path).resolve() for path in found} | {own, *map(Path, _SYSTEM)}
    return tuple(sorted(folders - {Path("/")}))

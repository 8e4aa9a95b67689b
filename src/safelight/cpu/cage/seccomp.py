"""A filter of system calls: no network, no program, no other process, no change of permissions.

https://docs.kernel.org/userspace-api/seccomp_filter.html. The filter is a program of the classic
BPF: loads and jumps over the call's number and arguments.
"""

import ctypes
import errno
import os
import platform
import struct

from safelight.cpu.cage.kernel import IS_LINUX, system_call

_ARCHITECTURES = {"x86_64": (0xC000003E, 317), "aarch64": (0xC00000B7, 277)}  # and `seccomp`
_SET_FILTER, _ACTION_AVAILABLE = 1, 2
_SYNC_THREADS = 1

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in the call's description
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_FOREIGN = 0x40000000  # numbers of x86's third ABI
_CLONE_THREAD = 0x00010000

_CLONE, _CLONE3 = (56, 220), (435, 435)
_SIGNALS = {"kill": (62, 129), "tgkill": (234, 131)}  # to itself, a process may send them
_PRLIMIT = (302, 261)

# By name: the numbers for x86_64 and aarch64, -1 where there is none.
_DENIED = {
    # network
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # programs and processes
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, -1),
    "vfork": (58, -1),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "setpriority": (141, 140),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # permissions and attributes of files, which Landlock does not cover
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "lchown": (94, -1),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    # the kernel and its parts
    "open_by_handle_at": (304, 265),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "syslog": (103, 116),
}


def is_available() -> bool:
    """Return whether the kernel has filters, and this module the numbers of its calls."""
    known = _ARCHITECTURES.get(platform.machine())
    if not IS_LINUX or known is None:
        return False
    try:
        system_call(known[1], _ACTION_AVAILABLE, 0, struct.pack("=I", _ERROR))
    except OSError:
        return False
    return True


def restrict() -> None:
    """Filter the calls of this process for good; it must have given up new privileges before."""
    architecture, call = _ARCHITECTURES[platform.machine()]
    program = _program(architecture, list(_ARCHITECTURES).index(platform.machine()), os.getpid())
    steps = ctypes.create_string_buffer(b"".join(program))
    head = struct.pack("@HxxxxxxP", len(program), ctypes.addressof(steps))
    system_call(call, _SET_FILTER, _SYNC_THREADS, head)


def _program(architecture: int, column: int, own: int) -> list[bytes]:
    refused = _step(_RETURN, _ERROR | errno.EPERM)
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        *(_step(_EQUAL, architecture, yes=1), refused),
        _step(_LOAD, _NUMBER),
        *(_step(_AT_LEAST, _FOREIGN, no=1), refused),
        # Libraries fall back to `clone`, whose flags a filter can read.
        *(_step(_EQUAL, _CLONE3[column], no=1), _step(_RETURN, _ERROR | errno.ENOSYS)),
        *_only_if(_CLONE[column], _step(_ANY_BIT, _CLONE_THREAD, no=1)),
        *_only_if(_PRLIMIT[column], _step(_EQUAL, 0, no=1)),
    ]
    for numbers in _SIGNALS.values():
        steps += _only_if(numbers[column], _step(_EQUAL, own, no=1))
    for numbers in _DENIED.values():
        if numbers[column] >= 0:
            steps += [_step(_EQUAL, numbers[column], no=1), refused]
    return [*steps, _step(_RETURN, _ALLOW)]


def _only_if(number: int, test: bytes) -> list[bytes]:
    """Return the steps that allow a call if its first argument passes the test, else refuse it."""
    return [
        _step(_EQUAL, number, no=4),
        _step(_LOAD, _FIRST_ARGUMENT),
        test,
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _ERROR | errno.EPERM),
    ]


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """Return an instruction that jumps over `yes` or `no` others."""
    return struct.pack("=HBBI", code, yes, no, value)

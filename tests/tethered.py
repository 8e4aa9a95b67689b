"""Runs a program that ends with its parent: `tethered.py PARENT SIGNAL USER PROGRAM ARG…`.

Even `kill -9` of the test process leaves no server behind. A launcher of its own, because a
function run between fork and exec is unsafe in a process with threads. An empty USER keeps the
present one.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: str, on_death: str, user: str, *command: str) -> None:
    """Become `command`; refuses to start when `parent` is gone already."""
    if user:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    # After the change of user, which would reset it.
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(on_death), 0, 0, 0) != 0:
        sys.exit("tethered: the system refuses PR_SET_PDEATHSIG")
    if os.getppid() != int(parent):
        sys.exit("tethered: the parent is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The process that forks children: modules are imported once, and memory shared.

It never touches an untrusted byte, and has no environment, no secret and one thread. A child
does one call and ends, or some of one tenant, so a hostile file meets none of others.
"""

import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from types import FrameType

from safelight.cpu import call
from safelight.cpu.cage import cage, kernel


def main() -> None:
    """Serve calls until the pool closes its end of the control socket, standard input.

    Arguments: the import path and the modules to import, as JSON; "module:function" is called too.
    """
    path, modules = json.loads(sys.argv[1])
    sys.path[:] = path
    for name in modules:
        _load(*name.split(":"))
    cage.installed()  # once, not in each child
    with socket.socket(fileno=os.dup(0)) as control:
        _Server(control).run()


def _load(module: str, function: str = "") -> None:
    try:
        found = importlib.import_module(module)  # noqa: TID251  what calls have to have loaded
        if function:
            getattr(found, function)()
    except Exception:  # noqa: BLE001  the call that needs it fails by itself
        traceback.print_exc()


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._channels: dict[int, socket.socket] = {}  # by the child's process
        self._ended, wake = socket.socketpair()
        self._ended.setblocking(False)
        wake.setblocking(False)
        self._wake = wake
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake_up)
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._ended, select.POLLIN)

    def run(self) -> None:
        """Start a child for each channel that comes; kill it when the pool closes the channel."""
        while True:
            for file, _ in self._poll.poll():
                if file == self._control.fileno():
                    data, files, _, _ = socket.recv_fds(self._control, 1, 1)
                    if not data:
                        return  # children die with their parent
                    self._start(socket.socket(fileno=files[0]))
                elif file == self._ended.fileno():
                    self._reap()
                else:
                    self._kill(file)

    def _start(self, channel: socket.socket) -> None:
        pid = os.fork()
        if pid == 0:
            _be_child(channel)
        self._channels[pid] = channel
        self._poll.register(channel, 0)  # hears only that the pool has closed its end

    def _kill(self, file: int) -> None:
        for pid, channel in self._channels.items():
            if channel.fileno() == file:
                self._poll.unregister(channel)
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            while self._ended.recv(4096):
                pass
        for pid in list(self._channels):
            if os.waitpid(pid, os.WNOHANG)[0]:
                channel = self._channels.pop(pid)
                with suppress(KeyError):
                    self._poll.unregister(channel)
                channel.close()  # now the pool hears the end


def _wake_up(number: int, frame: FrameType | None) -> None:
    """Let the signal write to the wake-up socket; without a handler it would not."""


def _be_child(channel: socket.socket) -> None:
    code = 1
    try:
        server = os.getppid()
        kernel.die_with_parent()
        if os.getppid() != server:
            return  # it died meanwhile
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        own = os.dup2(channel.detach(), 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        os.close(nothing)
        call.serve(socket.socket(fileno=own))
        code = 0
    finally:
        os._exit(code)

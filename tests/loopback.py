"""Keeps the tests on this machine: a connection or look-up that would leave it fails the test."""

import socket
import sys
from ipaddress import ip_address


class LeftThisMachine(BaseException):
    """A test reached for the network. Not an Exception, so that no handler under test hides it."""


def refuse_others() -> None:
    """Watch this process for the rest of its life."""
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        where, address = arguments
        assert isinstance(where, socket.socket)
        if where.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            _check(address[0], event)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _check(arguments[0], event)


def _check(host: object, event: str) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in ("", "localhost"):
        return
    try:
        address = ip_address(str(name))
    except ValueError:
        raise LeftThisMachine(f"{event}: {name}") from None
    # Looking up a literal asks nobody.
    if not address.is_loopback and event == "socket.connect":
        raise LeftThisMachine(f"{event}: {name}")

"""Messages between the pool and a child: a kind, a length, and as many bytes."""

import asyncio
import socket
import struct
from enum import IntEnum
from typing import BinaryIO

_HEAD = struct.Struct(">BI")
_MAX_BYTES = 16 * 2**20  # of one message: facts, paths and small pictures


class Kind(IntEnum):
    """The kinds of messages; only the first comes from the pool."""

    REQUEST = 0
    PROGRESS = 1
    RESULT = 2
    REFUSAL = 3  # a SafelightError, as a problem document
    NO_MEMORY = 4
    FAULT = 5  # any other exception, as text


def packed(kind: Kind, data: bytes) -> bytes:
    """Return a message; raise `ValueError` for one that is too long."""
    check_size(len(data))
    return _HEAD.pack(kind, len(data)) + data


def check_size(size: int) -> None:
    """Raise `ValueError` for a message of more bytes than one may have."""
    if size > _MAX_BYTES:
        raise ValueError(f"A message of {size} bytes is too long.")


async def receive(channel: socket.socket) -> tuple[Kind, bytes]:
    """Return the next message; raise `EOFError` at the end, `ValueError` if it is malformed."""
    kind, size = _HEAD.unpack(await _receive_exactly(channel, _HEAD.size))
    check_size(size)
    return Kind(kind), await _receive_exactly(channel, size)


def receive_request(file: BinaryIO) -> bytes:
    """Wait for the request of a call; raise `EOFError` if the pool makes no more."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise EOFError
    _, size = _HEAD.unpack(head)
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


async def _receive_exactly(channel: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < size:
        try:
            piece = await loop.sock_recv(channel, min(size - len(data), 2**16))
        except ConnectionError:
            raise EOFError from None
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)

"""The peer's no-op provider: sleeps as told, returns one tiny picture, and keeps a ledger."""

import json
import os
import struct
import time
import zlib
from pathlib import Path


def make(prompt: str, seconds: float, outputs: int, ledger: Path) -> list[bytes]:
    """Return `outputs` pictures after `seconds`; the call's moment goes to `ledger`."""
    line = json.dumps({"what": "start", "prompt": prompt, "at": time.time()})
    handle = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line.encode() + b"\n")
    finally:
        os.close(handle)
    if seconds:
        time.sleep(seconds)  # noqa: TID251  what a synchronous client of a slow provider does
    return [_PICTURE] * outputs


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


_PICTURE = (  # a PNG of one red pixel (https://www.w3.org/TR/png-3/)
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(bytes([0, 255, 0, 0])))
    + _chunk(b"IEND", b"")
)

"""Builds an ICC profile from a color space that a header describes by numbers; child only.

Format: ICC.1:2022. White is adapted to the profile connection space's D50 by Bradford's matrix.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from safelight.media.headers.color import Color, Curve

_HEADER_BYTES = 128
_ENTRY = struct.Struct(">4sII")
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def build(color: Color, *, is_gray: bool) -> bytes:
    """Return the profile for pictures of one gray or three color channels."""
    curve = _parametric(color.curve)
    tags = {b"desc": _text("described by the file"), b"wtpt": _point(*_D50)}
    if is_gray:
        tags[b"kTRC"] = curve
    else:
        points = _adapted(color.primaries)
        for name, point in zip((b"r", b"g", b"b"), points.T.tolist(), strict=True):
            tags |= {name + b"XYZ": _point(*point), name + b"TRC": curve}
    return _packed(tags, b"GRAY" if is_gray else b"RGB ")


def _adapted(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """Return red, green and blue as columns of XYZ, relative to D50."""
    white, *rest = (
        np.array([x / y, 1.0, (1 - x - y) / y])
        for x, y in zip(primaries[::2], primaries[1::2], strict=True)
    )
    columns = np.stack(rest, axis=1)
    native = columns * np.linalg.solve(columns, white)
    cones = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ native


def _parametric(curve: Curve) -> bytes:
    """Return function type 3: gamma, a, b, slope, start."""
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, curve))


def _point(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(x) + _fixed(y) + _fixed(z)


def _text(text: str) -> bytes:
    coded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(coded), 28) + coded


def _fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 2**16))


def _packed(tags: dict[bytes, bytes], space: bytes) -> bytes:
    body = b""
    start = _HEADER_BYTES + 4 + _ENTRY.size * len(tags)
    table = struct.pack(">I", len(tags))
    for name, data in tags.items():
        table += _ENTRY.pack(name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x04400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _point(*_D50)[8:]
    return head + bytes(_HEADER_BYTES - len(head)) + table + body

"""3D models for tests, as small as they can be."""

import json
import struct


def glb(**more: object) -> bytes:
    """A binary glTF of one triangle."""
    triangle = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(triangle)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(triangle)}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 1, 0],
            }
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
        **more,
    }
    return packed(document, triangle)


def packed(document: object, binary: bytes = b"") -> bytes:
    """A binary glTF of a description and what its first buffer holds."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    parts = [struct.pack("<I4s", len(text), b"JSON"), text]
    if binary:
        parts += [struct.pack("<I4s", len(binary), b"BIN\0"), binary]
    size = 12 + sum(map(len, parts))
    return b"".join([struct.pack("<4sII", b"glTF", 2, size), *parts])


FBX = (
    b"Kaydara FBX Binary  \x00\x1a\x00"
    + struct.pack("<I", 7400)
    + bytes(64)
    + bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")
)

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
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(triangle)
    return (
        struct.pack("<4sII", b"glTF", 2, size)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(triangle), b"BIN\0")
        + triangle
    )


FBX = (
    b"Kaydara FBX Binary  \x00\x1a\x00"
    + struct.pack("<I", 7400)
    + bytes(64)
    + bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")
)

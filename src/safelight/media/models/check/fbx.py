"""Checks that a file is a complete binary FBX; its content is proprietary and not parsed.

Layout: https://code.blender.org/2013/08/fbx-binary-file-format-specification/
"""

from pathlib import Path

from safelight.media.errors import MediaEmpty, MediaTruncated, MediaUnsupported, reading

MEDIA_TYPE = "application/vnd.autodesk.fbx"

_MAGIC = b"Kaydara FBX Binary  \x00\x1a\x00"
_OLDEST = 7000  # version with this layout
_FOOT = bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")


@reading()
def check(path: Path) -> None:
    """Raise `MediaError` unless the file has a supported version and the FBX footer."""
    size = path.stat().st_size
    if size == 0:
        raise MediaEmpty
    with path.open("rb") as file:
        head = file.read(len(_MAGIC) + 4)
        if not head.startswith(_MAGIC):
            raise MediaUnsupported("The file is not a binary FBX.")
        if int.from_bytes(head[len(_MAGIC) :], "little") < _OLDEST:
            raise MediaUnsupported(f"The FBX is of a version before {_OLDEST}.")
        file.seek(max(size - len(_FOOT), 0))
        if file.read() != _FOOT:
            raise MediaTruncated("The FBX does not end as one should.")

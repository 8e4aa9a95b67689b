"""Reads a picture's format and shape from its header in pure Python, before a decoder sees it."""

from pathlib import Path
from typing import BinaryIO, NamedTuple

from safelight.media.errors import MediaEmpty, MediaError, MediaUnsupported
from safelight.media.headers import heif, jpeg, png, tiff
from safelight.media.headers.shape import Shape, take, unpack
from safelight.media.sniff import HEAD_BYTES, sniff

FORMATS = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/tiff": "tiff",
}

# Bytes a pixel, measured.
_GIF_HELD = 8.0  # the canvas and the frame before
_WEBP_HELD = 19.0  # decoder and encoder
_WEBP_ALPHA_HELD = 32.0  # the encoder makes three copies more of a picture with alpha


class Header(NamedTuple):
    """What the first bytes say; see `Shape`."""

    format: str
    width: int
    height: int
    held: float = 0
    frames: int = 1


def read_header(path: Path) -> Header:
    """Return the header of the picture at `path`.

    Raises `MediaEmpty`, `MediaUnsupported`, `MediaTruncated` or `MediaError`.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head:
            raise MediaEmpty
        form = FORMATS.get(sniff(head) or "")
        if form is None:
            raise MediaUnsupported
        shape = _READERS[form](file)
    if shape.width < 1 or shape.height < 1:
        raise MediaError("The picture has no pixels.")
    return Header(form, *shape)


def _gif(file: BinaryIO) -> Shape:
    width, height = unpack(file, "<HH", 6)
    return Shape(width, height, _GIF_HELD)


def _webp(file: BinaryIO) -> Shape:
    kind = take(file, 12, 4)
    if kind == b"VP8X":  # extended: flags, then a canvas of 24 bits a side, less one
        data = take(file, 20, 10)
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (4, 7))
        return _webp_shape(width, height, has_alpha=bool(data[0] & 0x10))
    if kind == b"VP8L":  # lossless: 14 bits a side, less one, and one of alpha, after a signature
        bits = int.from_bytes(take(file, 21, 4), "little")
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        return _webp_shape(width, height, has_alpha=bool(bits >> 28 & 1))
    if kind == b"VP8 ":  # lossy: 14 bits a side and 2 of scale, after frame tag and start code
        width, height = unpack(file, "<HH", 26)
        return _webp_shape(width & 0x3FFF, height & 0x3FFF, has_alpha=False)
    raise MediaError("The WebP does not begin with its picture.")


def _webp_shape(width: int, height: int, *, has_alpha: bool) -> Shape:
    return Shape(width, height, _WEBP_ALPHA_HELD if has_alpha else _WEBP_HELD)


_READERS = {
    "jpeg": jpeg.read,
    "png": png.read,
    "webp": _webp,
    "gif": _gif,
    "avif": heif.read,
    "heic": heif.read,
    "tiff": tiff.read,
}

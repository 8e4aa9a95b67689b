"""Reads a picture's format and size from its header in pure Python, before any decoder runs."""

from typing import BinaryIO, NamedTuple

from safelight.media.errors import MediaEmpty, MediaError, MediaUnsupported, reading
from safelight.media.headers import gif, heif, jpeg, png, tiff
from safelight.media.headers.shape import Shape, take, unpack
from safelight.media.sniff import HEAD_BYTES, sniff
from safelight.media.source import Source, opened

FORMATS = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/tiff": "tiff",
}

# Bytes per pixel, measured.
_WEBP_HELD = 19.0  # decoder and encoder
_WEBP_ALPHA_HELD = 32.0  # the encoder makes three more copies of a picture with alpha


class Header(NamedTuple):
    """A picture's format, size and decoder memory; see `Shape`."""

    format: str
    width: int
    height: int
    held: float = 0
    frames: int = 1


def read_header(source: Source) -> Header:
    """Return the header of the picture.

    Raises `MediaEmpty`, `MediaUnsupported`, `MediaTruncated` or `MediaError`.
    """
    with opened(source) as file:
        return header_in(file)


@reading()
def header_in(file: BinaryIO) -> Header:
    """Return the header of the picture that `file` contains; raise as `read_header` does."""
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


def _webp(file: BinaryIO) -> Shape:
    kind = take(file, 12, 4)
    if kind == b"VP8X":  # extended: flags, then canvas sides minus one, 24 bits each
        data = take(file, 20, 10)
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (4, 7))
        return _webp_shape(width, height, has_alpha=bool(data[0] & 0x10))
    if kind == b"VP8L":  # lossless: signature, then sides minus one (14 bits each), alpha bit
        bits = int.from_bytes(take(file, 21, 4), "little")
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        return _webp_shape(width, height, has_alpha=bool(bits >> 28 & 1))
    if kind == b"VP8 ":  # lossy: frame tag, start code, then 14 bits per side and 2 of scale
        width, height = unpack(file, "<HH", 26)
        return _webp_shape(width & 0x3FFF, height & 0x3FFF, has_alpha=False)
    raise MediaError("The WebP does not begin with its picture.")


def _webp_shape(width: int, height: int, *, has_alpha: bool) -> Shape:
    return Shape(width, height, _WEBP_ALPHA_HELD if has_alpha else _WEBP_HELD)


_READERS = {
    "jpeg": jpeg.read,
    "png": png.read,
    "webp": _webp,
    "gif": gif.read,
    "avif": heif.read,
    "heic": heif.read,
    "tiff": tiff.read,
}

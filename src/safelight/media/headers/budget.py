"""Refuses a picture that its decoder could only hold in more memory than a child has."""

from safelight.media.errors import MediaTooManyPixels
from safelight.media.headers.header import Header

_BYTES = 440 * 2**20  # of the 512 MiB that a child may add; encoders and threads take the rest
_COPY_BYTES = 4  # a pixel, of the finished picture in 8 bits
_MILLION = 1_000_000
_NAMES = {"jpeg": "progressive JPEG", "png": "interlaced PNG", "tiff": "TIFF in tall strips"}


def check_memory(header: Header) -> None:
    """Raise `MediaTooManyPixels` where the decoded picture would not fit; nothing is decoded.

    Every decoder is made to read row by row where its format allows that, and then the finished
    picture is all that is held.
    """
    pixels = header.width * header.height
    most = int(_BYTES / (header.held + _COPY_BYTES))
    if pixels > most:
        name = _NAMES.get(header.format) if header.held else None
        raise MediaTooManyPixels(
            f"A {pixels / _MILLION:.1f} megapixel {name or header.format.upper()} needs more "
            f"memory than one picture may use; at most {most / _MILLION:.0f} megapixels "
            "in this format."
        )

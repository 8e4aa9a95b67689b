"""Rejects pictures whose decoder would need more memory than a child process has."""

from safelight.media.errors import MediaTooManyPixels
from safelight.media.headers.header import Header

_BYTES = 440 * 2**20  # of the 512 MiB a child may allocate; encoders and threads take the rest
_COPY_BYTES = 4  # per pixel of the decoded picture, at 8 bits
_MILLION = 1_000_000
_NAMES = {"jpeg": "progressive JPEG", "png": "interlaced PNG", "tiff": "TIFF in tall strips"}


def check_memory(header: Header) -> None:
    """Raise `MediaTooManyPixels` if the decoded picture would not fit; nothing is decoded.

    Decoders read row by row where the format allows it, so that only the decoded picture stays in
    memory.
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

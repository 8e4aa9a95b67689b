"""Errors for media files that cannot be read."""

from collections.abc import Generator
from contextlib import contextmanager

from safelight.errors import SafelightError


class MediaError(SafelightError):
    """The file itself is at fault."""

    code = "media_unreadable"
    status = 422
    title = "The file cannot be read"


class MediaEmpty(MediaError):
    """The file has no bytes."""

    code = "media_empty"
    title = "The file is empty"


class MediaUnsupported(MediaError):
    """The bytes are not in a supported format, whatever the file is named."""

    code = "media_unsupported"
    status = 415
    title = "This kind of file is not supported"


class MediaTruncated(MediaError):
    """The file ends too early or its data is damaged."""

    code = "media_truncated"
    title = "The file is truncated or damaged"


class MediaTooManyPixels(MediaError):
    """Width times height times frames exceeds the pixel budget; nothing was decoded."""

    code = "media_too_many_pixels"
    title = "The picture has too many pixels"


@contextmanager
def reading() -> Generator[None]:
    """Turn any failure of our own readers into `MediaTruncated`: untrusted bytes caused it.

    Failures of this machine, `OSError` and `MemoryError`, pass through.
    """
    try:
        yield
    except (SafelightError, OSError, MemoryError):
        raise
    except Exception as error:
        raise MediaTruncated from error

"""Opens pictures with libvips, each with the loader that its first bytes call for; child only."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pyvips

from safelight.errors import MediaTruncated

# Loaders that libvips does not trust with strangers' files (SVG, PDF, MATLAB …) stay shut even if
# a crafted file got one called.
pyvips.block_untrusted_set(True)
# It warns once a damaged tile; what matters comes as an error.
logging.getLogger("pyvips").setLevel(logging.ERROR)
# Every picture comes once, so remembered results would only hold memory.
pyvips.cache_set_max(0)
# The pool runs one child a core; threads inside would only compete.
pyvips.concurrency_set(1)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

_LOADERS = {
    "jpeg": "jpegload",
    "png": "pngload",
    "webp": "webpload",
    "gif": "gifload",
    "avif": "heifload",
    "tiff": "tiffload",
}
ANIMATED = frozenset({"gif", "webp"})
"""The formats whose pages are frames over time."""

_GRAY = frozenset({"b-w", "grey16"})


def open_picture(
    path: Path, form: str, *, every_frame: bool = False, shrink: int = 1
) -> pyvips.Image:
    """Return the picture, not decoded yet; pixels are read once, from top to bottom.

    `shrink` is 1, 2, 4 or 8 and only JPEG heeds it. With `every_frame` the frames of an animation
    hang below each other.
    """
    options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
    if every_frame and form in ANIMATED:
        options["n"] = -1
    if form == "jpeg" and shrink > 1:
        options["shrink"] = shrink
    load = getattr(pyvips.Image, _LOADERS[form])
    return cast("pyvips.Image", load(str(path), **options))


def frames_of(image: pyvips.Image, form: str) -> int:
    """Return how many frames an animation has; 1 for a still, and for a TIFF of many pages."""
    return field(image, "n-pages", 1) if form in ANIMATED else 1


def field(image: pyvips.Image, name: str, default: int) -> int:
    """Return a whole number that came with the picture, or `default`."""
    value = image.get(name) if image.get_typeof(name) else default
    return value if isinstance(value, int) else default


def orientation_of(image: pyvips.Image) -> int:
    """Return EXIF's orientation, 1 to 8."""
    value = field(image, "orientation", 1)
    return value if 1 <= value <= 8 else 1  # noqa: PLR2004


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Return the picture in 8-bit sRGB, or gray if it is gray and has no profile."""
    if image.get_typeof("icc-profile-data") or image.interpretation == "cmyk":
        fallback = "cmyk" if image.interpretation == "cmyk" else "srgb"
        try:
            return image.icc_transform("srgb", embedded=True, input_profile=fallback, depth=8)
        except pyvips.Error:  # a damaged profile: better slightly wrong colours than no picture
            pass
    space = "b-w" if image.interpretation in _GRAY else "srgb"
    return image.colourspace(space).cast("uchar")


@contextmanager
def decoding() -> Generator[None]:
    """Turn libvips' errors into `MediaTruncated`, which stands for damaged files too."""
    try:
        yield
    except pyvips.Error as error:
        if "out of memory" in str(error):
            raise MemoryError from error
        raise MediaTruncated from error
    except UnicodeDecodeError as error:
        # Damaged bytes got into a name or a message, on which pyvips chokes before it clears it.
        pyvips.vips_lib.vips_error_clear()
        raise MediaTruncated from error

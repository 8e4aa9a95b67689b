"""Opens pictures with libvips, using the loader for their detected format; child only.

Pictures leave here with samples and colors that libvips shows rightly: `samples` and `profile`.
"""

import logging
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, cast

import pyvips

from safelight.media.errors import MediaTruncated, MediaUnsupported, reading
from safelight.media.headers import heif, png
from safelight.media.headers.color import Color
from safelight.media.pictures import profile, samples
from safelight.media.source import Source, opened

# Loaders that libvips deems unsafe for untrusted files (SVG, PDF, MATLAB …) stay disabled even if
# a crafted file selected one.
pyvips.block_untrusted_set(True)
# It warns for each damaged tile; relevant problems raise errors.
logging.getLogger("pyvips").setLevel(logging.ERROR)
# Every picture is processed once, so cached results would only use memory.
pyvips.cache_set_max(0)
# The pool runs one child per core; threads inside would only compete.
pyvips.concurrency_set(1)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

_LOADERS = {
    "jpeg": "jpegload",
    "png": "pngload",
    "webp": "webpload",
    "gif": "gifload",
    "avif": "heifload",
    "heic": "heifload",
    "tiff": "tiffload",
}
ANIMATED = frozenset({"gif", "webp"})
"""The formats whose pages are frames over time."""

# Error messages of libvips and its libraries.
_NO_MEMORY = ("out of memory", "memory allocation", "cannot allocate")
_HOSTILE = "security limit"  # libheif reports its limits as memory errors
_UNSUPPORTED = re.compile(
    r"unsupported (jpeg process|jpeg data|tiff|codec|feature|color|bit depth|essential|item)"
    r"|not (supported|implemented|configured|been built|photometric|\d+ b|a whole number of bytes)"
    r"|can ?not handle|bad labq|samples out of range"
)

_GRAY = frozenset({"b-w", "grey16"})
_PLAIN = frozenset({"b-w", "srgb"})
_FEW = 256  # pixels of the longest side: to start a thread takes longer than to compute them
_COLOR_BANDS = 3
_PROFILE, _MADE = "icc-profile-data", "safelight-profile-made"
_DESCRIBED: dict[str, Callable[[BinaryIO], Color | None]] = {
    "png": png.read_color,
    "avif": heif.read_color,
    "heic": heif.read_color,
}
_Load = Callable[..., pyvips.Image]


def open_picture(
    source: Source, form: str, *, every_frame: bool = False, shrink: int = 1
) -> pyvips.Image:
    """Return the picture, not decoded yet; pixels can be read once, from top to bottom.

    With `every_frame`, the frames of an animation are stacked vertically. The decoder of JPEG
    divides the sides by `shrink`. Raises `MediaUnsupported` for a picture that would look wrong.
    """
    options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
    if every_frame and form in ANIMATED:
        options["n"] = -1
    if shrink > 1 and form == "jpeg":
        options["shrink"] = shrink
    name, place = _LOADERS[form], source if isinstance(source, bytes) else str(source)
    if isinstance(source, bytes):
        name += "_buffer"
    load = partial(cast("_Load", getattr(pyvips.Image, name)), place, **options)
    image = load()
    if form == "tiff":
        return samples.to_unsigned(image, load)
    color = None if image.get_typeof(_PROFILE) else _described(source, form)
    if color is None:
        return image
    return _with_profile(image, profile.build(color, is_gray=image.bands < _COLOR_BANDS))


@reading()
def _described(source: Source, form: str) -> Color | None:
    if form not in _DESCRIBED:
        return None
    with opened(source) as file:
        return _DESCRIBED[form](file)


def has_profile(image: pyvips.Image) -> bool:
    """Return whether the file contains an ICC profile."""
    return bool(image.get_typeof(_PROFILE)) and not image.get_typeof(_MADE)


def frames_of(image: pyvips.Image, form: str) -> int:
    """Return how many frames an animation has; 1 for a still, also for a multipage TIFF."""
    return field(image, "n-pages", 1) if form in ANIMATED else 1


def pages_of(image: pyvips.Image, form: str) -> int:
    """Return how many independent pictures a file contains; only the first is shown."""
    return 1 if form in ANIMATED else field(image, "n-pages", 1)


def field(image: pyvips.Image, name: str, default: int) -> int:
    """Return an integer header field, or `default`."""
    value = image.get(name) if image.get_typeof(name) else default
    return value if isinstance(value, int) else default


def text_field(image: pyvips.Image, name: str) -> str:
    """Return a text header field, or an empty string."""
    value = image.get(name) if image.get_typeof(name) else ""
    return value if isinstance(value, str) else ""


def orientation_of(image: pyvips.Image) -> int:
    """Return EXIF's orientation, 1 to 8."""
    value = field(image, "orientation", 1)
    return value if 1 <= value <= 8 else 1  # noqa: PLR2004


def upright(image: pyvips.Image) -> pyvips.Image:
    """Return the picture rotated and mirrored as EXIF's orientation says."""
    return image.autorot() if orientation_of(image) > 1 else image


def settled(image: pyvips.Image) -> pyvips.Image:
    """Return the picture with its pixels computed, and in memory."""
    if max(image.width, image.height) > _FEW or orientation_of(image) > 1:
        return image.copy_memory()
    copy = pyvips.Image.new_from_memory(
        pixels_of(image), image.width, image.height, image.bands, str(image.format)
    )
    return copy.copy(interpretation=str(image.interpretation))


def pixels_of(image: pyvips.Image) -> bytes:
    """Return the samples of a picture, row by row; a small one's without starting threads."""
    if max(image.width, image.height) > _FEW:
        return image.write_to_memory()
    region = pyvips.Region.new(image)
    return bytes(region.fetch(0, 0, image.width, image.height))


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Return the picture in 8-bit sRGB, or gray if it is gray and has no profile."""
    is_plain = str(image.format) == "uchar" and str(image.interpretation) in _PLAIN
    if is_plain and not image.get_typeof(_PROFILE):
        return image
    if image.get_typeof(_PROFILE) or image.interpretation == "cmyk":
        fallback = "cmyk" if image.interpretation == "cmyk" else "srgb"
        try:
            plain = image.icc_transform("srgb", embedded=True, input_profile=fallback, depth=8)
            return _without_profile(plain)
        except pyvips.Error:  # a damaged profile: slightly wrong colors are better than no picture
            pass
    space = "b-w" if image.interpretation in _GRAY else "srgb"
    return image.colourspace(space).cast("uchar")


def _without_profile(image: pyvips.Image) -> pyvips.Image:
    """Drop the profile so that it is not applied again; the pixels are sRGB now."""
    plain = image.copy()
    plain.remove(_PROFILE)
    return plain


def _with_profile(image: pyvips.Image, data: bytes) -> pyvips.Image:
    described = image.copy()
    described.set_type(pyvips.GValue.blob_type, _PROFILE, data)  # pyright: ignore[reportArgumentType]
    described.set_type(pyvips.GValue.gint_type, _MADE, 1)
    return described


def _is_out_of_memory(message: str) -> bool:
    return _HOSTILE not in message and any(sign in message for sign in _NO_MEMORY)


@contextmanager
def decoding() -> Generator[None]:
    """Turn libvips errors into `MediaTruncated`, which also covers damaged files."""
    try:
        yield
    except pyvips.Error as error:
        message = str(error).lower()
        if _is_out_of_memory(message):
            raise MemoryError from error
        if _UNSUPPORTED.search(message):
            raise MediaUnsupported(
                "This installation has no decoder for the way this picture is compressed."
            ) from error
        raise MediaTruncated from error
    except UnicodeDecodeError as error:
        # Damaged bytes reached a name or a message; pyvips fails to decode it without clearing it.
        pyvips.vips_lib.vips_error_clear()
        raise MediaTruncated from error

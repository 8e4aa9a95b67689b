"""Encodes a picture's public copy and its renditions; child only."""

from pathlib import Path

import pyvips

from safelight.media.pictures import gif, webp
from safelight.media.pictures.decode import Seen
from safelight.media.pictures.picture import Picture
from safelight.media.pictures.vips import decoding, open_picture, to_srgb

_NOTHING = 0  # keep no metadata
_QUALITY = 90
_RENDITION_QUALITY = 80
_GLIMPSE_QUALITY = 60  # shown for seconds, and stored with the events
_EFFORT = 2  # of WebP; more takes twice the time to save 3% of the bytes
_LARGE = 16_000_000  # pixels at which speed matters more than size
_LARGE_EFFORT = 0
_COMPRESSION, _LARGE_COMPRESSION = 6, 1  # of PNG
_MAX_JPEG_SIDE = 65_500


def render(seen: Seen, folder: Path) -> dict[str, Picture]:
    """Write the renditions into `folder`; return them by name."""
    made: dict[str, Picture] = {}
    with decoding():
        for name, pixels in seen.sizes.items():
            image = pixels.autorot()
            path = folder / f"{name}.webp"
            image.webpsave(str(path), Q=_RENDITION_QUALITY, effort=_EFFORT, keep=_NOTHING)
            made[name] = _picture(path, "image/webp", image.width, image.height)
    return made


def small(path: Path, form: str, side: int) -> bytes:
    """Return a picture as WebP, no side longer than `side` pixels."""
    with decoding():
        image = open_picture(path, form).thumbnail_image(side, height=side, size="down")
        return to_srgb(image).webpsave_buffer(Q=_GLIMPSE_QUALITY, effort=_EFFORT, keep=_NOTHING)


def served(seen: Seen, source: Path, folder: Path) -> Picture:
    """Write the public copy into `folder`."""
    with decoding():
        if seen.whole is None:
            return _stripped(seen, source, folder)
        return _still(seen.whole.autorot(), folder, seen.facts.format)


def _still(image: pyvips.Image, folder: Path, form: str) -> Picture:
    kind = _public_format(image, form)
    path = folder / f"served.{kind}"
    is_large = image.width * image.height > _LARGE
    match kind:
        case "jpeg":
            image.jpegsave(str(path), Q=_QUALITY, keep=_NOTHING)
        case "webp":
            effort = _LARGE_EFFORT if is_large else _EFFORT
            image.webpsave(str(path), Q=_QUALITY, effort=effort, keep=_NOTHING)
        case _:
            compression = _LARGE_COMPRESSION if is_large else _COMPRESSION
            image.pngsave(str(path), compression=compression, keep=_NOTHING)
    return _picture(path, f"image/{kind}", image.width, image.height)


def _public_format(image: pyvips.Image, form: str) -> str:
    """Choose a format for browsers: the original's, or JPEG or PNG for AVIF, HEIC and TIFF."""
    if form in {"jpeg", "png", "webp"}:
        return form
    fits = max(image.width, image.height) <= _MAX_JPEG_SIDE
    return "jpeg" if fits and not image.hasalpha() else "png"


def _stripped(seen: Seen, source: Path, folder: Path) -> Picture:
    """Copy the encoded frames: re-encoding would be slow, and lossy for a GIF."""
    facts = seen.facts
    path = folder / f"served.{facts.format}"
    strip = gif.strip if facts.format == "gif" else webp.strip
    strip(source, path)
    return _picture(path, facts.media_type, facts.width, facts.height)


def _picture(path: Path, media_type: str, width: int, height: int) -> Picture:
    return Picture(path, media_type, width, height, path.stat().st_size)

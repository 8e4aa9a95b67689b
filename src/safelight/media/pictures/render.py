"""Encodes a picture's public copy and its renditions; child only."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pyvips

from safelight.media.pictures import gif, webp
from safelight.media.pictures.decode import Seen
from safelight.media.pictures.picture import InMemory, Picture
from safelight.media.pictures.vips import decoding, open_picture, to_srgb, upright
from safelight.media.source import Source, size_of

_NOTHING = 0  # keep no metadata
_QUALITY = 90
_RENDITION_QUALITY = 80
_GLIMPSE_QUALITY = 60  # shown for seconds, and stored with the events
_EFFORT = 2  # of WebP; more takes twice the time to save 3% of the bytes
_LARGE = 16_000_000  # pixels at which speed matters more than size
_LARGE_EFFORT = 0
_COMPRESSION, _LARGE_COMPRESSION = 6, 1  # of PNG
_HALVED = "4:2:0"  # half as many rows and columns of color as of light
_MAX_JPEG_SIDE = 65_500
_SAVERS = {"avif": "heif"}  # of libvips, where they are called otherwise


def render(seen: Seen, folder: Path | None) -> dict[str, Picture]:
    """Write the renditions into `folder`, or none into memory; return them by name.

    Renditions of the same pixels are one picture.
    """
    made: dict[str, Picture] = {}
    encoded: dict[int, Picture] = {}  # by the identity of the pixels
    with decoding():
        for name, pixels in seen.sizes.items():
            if id(pixels) not in encoded:
                options = {"Q": _RENDITION_QUALITY, "effort": _EFFORT}
                encoded[id(pixels)] = encode(upright(pixels), name, "webp", folder, options)
            made[name] = encoded[id(pixels)]
    return made


def small(source: Source, form: str, side: int) -> bytes:
    """Return a picture as WebP, no side longer than `side` pixels."""
    with decoding():
        image = open_picture(source, form).thumbnail_image(side, height=side, size="down")
        return to_srgb(image).webpsave_buffer(Q=_GLIMPSE_QUALITY, effort=_EFFORT, keep=_NOTHING)


def served(seen: Seen, source: Source, folder: Path | None) -> Picture:
    """Write the public copy into `folder`, or a small one into memory."""
    with decoding():
        if seen.whole is None:
            return _stripped(seen, source, folder)
        return _still(seen, upright(seen.whole), folder)


def _still(seen: Seen, image: pyvips.Image, folder: Path | None) -> Picture:
    kind = _public_format(image, seen.facts.format)
    is_large = image.width * image.height > _LARGE
    match kind:
        case "jpeg":
            # As in the original: full color of halved colors would only cost bytes.
            subsample = "on" if seen.chroma == _HALVED else "off"
            options = {"Q": _QUALITY, "subsample_mode": subsample}
        case "webp":
            options = {"Q": _QUALITY, "effort": _LARGE_EFFORT if is_large else _EFFORT}
        case _:
            options = {"compression": _LARGE_COMPRESSION if is_large else _COMPRESSION}
    return encode(image, "served", kind, folder, options)


def _public_format(image: pyvips.Image, form: str) -> str:
    """Choose a format for browsers: the original's, or JPEG or PNG for AVIF, HEIC and TIFF."""
    if form in {"jpeg", "png", "webp"}:
        return form
    fits = max(image.width, image.height) <= _MAX_JPEG_SIDE
    return "jpeg" if fits and not image.hasalpha() else "png"


def _stripped(seen: Seen, source: Source, folder: Path | None) -> Picture:
    """Copy the encoded frames: re-encoding would be slow, and lossy for a GIF."""
    facts = seen.facts
    strip = gif.strip if facts.format == "gif" else webp.strip
    content: Path | InMemory
    if folder is None:
        copy = BytesIO()
        strip(source, copy)
        content = InMemory(copy.getvalue())
    else:
        content = folder / f"served.{facts.format}"
        with content.open("wb") as file:
            strip(source, file)
    return _picture(content, facts.media_type, facts.width, facts.height)


def encode(
    image: pyvips.Image, name: str, form: str, folder: Path | None, options: dict[str, Any]
) -> Picture:
    """Write a picture as `form` into `folder`, or into memory, without any metadata."""
    saver = _SAVERS.get(form, form)
    content: Path | InMemory
    if folder is None:
        save = getattr(image, f"{saver}save_buffer")
        content = InMemory(save(**options, keep=_NOTHING))
    else:
        content = folder / f"{name}.{form}"
        getattr(image, f"{saver}save")(str(content), **options, keep=_NOTHING)
    return _picture(content, f"image/{form}", image.width, image.height)


def _picture(content: Path | InMemory, media_type: str, width: int, height: int) -> Picture:
    size = size_of(content.data if isinstance(content, InMemory) else content)
    return Picture(content, media_type, width, height, size)

"""Encodes a picture's public copy and renditions from as few decodes as possible; child only."""

from pathlib import Path

import pyvips

from safelight.assets import gif, webp
from safelight.assets.header import Header, read_header
from safelight.assets.picture import RENDITION_SIDES, Picture, Renditions
from safelight.assets.vips import (
    decoding,
    frames_of,
    open_picture,
    to_srgb,
)

_NOTHING = 0  # of the metadata is kept
_QUALITY = 90
_RENDITION_QUALITY = 80
_EFFORT = 2  # of WebP; more costs thrice the time for a twentieth of the bytes
_MAX_SHRINK = 8
_MAX_JPEG_SIDE = 65_500


def render(source: Path, folder: Path, *, served: bool) -> Renditions:
    """Return what was written into `folder`."""
    header = read_header(source)
    with decoding():
        if not served:
            return Renditions(None, _smaller(_reduced(source, header), folder))
        first = open_picture(source, header.format)
        if header.format == "gif" or frames_of(first, header.format) > 1:
            copy = _stripped(source, folder, header)
            return Renditions(copy, _smaller(_upright(first), folder))
        # One full decode feeds the public copy and everything smaller.
        whole = _upright(first).copy_memory()
        return Renditions(_still(whole, folder, header.format), _smaller(whole, folder))


def _reduced(source: Path, header: Header) -> pyvips.Image:
    """Return the picture at no less than the size of the largest rendition, upright."""
    longest, wanted = max(header.width, header.height), max(RENDITION_SIDES.values())
    shrink = 1
    while shrink < _MAX_SHRINK and longest >= wanted * shrink * 2:
        shrink *= 2
    return _upright(open_picture(source, header.format, shrink=shrink))


def _upright(image: pyvips.Image) -> pyvips.Image:
    # Turning needs the pixels in another order than the file has them.
    turned = image.get_typeof("orientation") and image.get("orientation") != 1
    return to_srgb((image.copy_memory() if turned else image).autorot())


def _smaller(image: pyvips.Image, folder: Path) -> dict[str, Picture]:
    made: dict[str, Picture] = {}
    for name, side in RENDITION_SIDES.items():
        image = image.thumbnail_image(side, height=side, size="down", no_rotate=True).copy_memory()
        path = folder / f"{name}.webp"
        image.webpsave(str(path), Q=_RENDITION_QUALITY, effort=_EFFORT, keep=_NOTHING)
        made[name] = _picture(path, "image/webp", image.width, image.height)
    return made


def _still(image: pyvips.Image, folder: Path, form: str) -> Picture:
    kind = _public_format(image, form)
    path = folder / f"served.{kind}"
    match kind:
        case "jpeg":
            image.jpegsave(str(path), Q=_QUALITY, keep=_NOTHING)
        case "webp":
            image.webpsave(str(path), Q=_QUALITY, effort=_EFFORT, keep=_NOTHING)
        case _:
            image.pngsave(str(path), keep=_NOTHING)
    return _picture(path, f"image/{kind}", image.width, image.height)


def _public_format(image: pyvips.Image, form: str) -> str:
    """Choose what browsers show: the original's format, or JPEG for AVIF (slow) and TIFF."""
    if form in {"jpeg", "png", "webp"}:
        return form
    fits = max(image.width, image.height) <= _MAX_JPEG_SIDE
    return "jpeg" if fits and not image.hasalpha() else "png"


def _stripped(source: Path, folder: Path, header: Header) -> Picture:
    """Copy frames as they are: a new encoding would be slow, and for a GIF worse."""
    path = folder / f"served.{header.format}"
    strip = gif.strip if header.format == "gif" else webp.strip
    strip(source, path)
    return _picture(path, f"image/{header.format}", header.width, header.height)


def _picture(path: Path, media_type: str, width: int, height: int) -> Picture:
    return Picture(path, media_type, width, height, path.stat().st_size)

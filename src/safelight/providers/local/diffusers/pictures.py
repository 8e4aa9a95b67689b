"""Reads a job's picture and mask, and writes its results."""

from pathlib import Path
from typing import ClassVar, Literal

from PIL import Image, ImageOps, UnidentifiedImageError

_OPAQUE = 255
_QUALITY = 95


class BadPicture(Exception):
    """The job's picture or mask is unusable; the message may be shown to users."""

    code: ClassVar[Literal["bad_input"]] = "bad_input"


def read_picture(path: Path) -> Image.Image:
    """Return the picture upright, flattened on white."""
    picture = _open(path).convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def read_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """Return the mask with the editable area in white; in the file it is transparent."""
    mask = _open(path)
    if mask.size != size:
        raise BadPicture("The mask must be as large as the picture.")
    solid = mask.convert("RGBA").getchannel("A")
    if solid.getextrema() == (_OPAQUE, _OPAQUE):
        raise BadPicture("The mask has no transparent pixels, so nothing may change.")
    return ImageOps.invert(solid)


def size_of(picture: Image.Image, multiple: int, max_pixels: int) -> tuple[int, int]:
    """Return the picture's size, scaled down to `max_pixels` and divisible by `multiple`."""
    width, height = picture.size
    scale = min(1.0, (max_pixels / (width * height)) ** 0.5)
    sides = [int(side * scale) // multiple * multiple for side in (width, height)]
    if min(sides) < multiple:
        raise BadPicture("The picture is too small or too narrow.")
    return sides[0], sides[1]


def fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the center of the picture at that size."""
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def write_picture(picture: Image.Image, path: Path) -> None:
    picture.save(path, quality=_QUALITY)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
            return ImageOps.exif_transpose(picture)
    except (Image.DecompressionBombError, UnidentifiedImageError, OSError, ValueError) as error:
        raise BadPicture("The picture cannot be read.") from error

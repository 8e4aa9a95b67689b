"""Reads a reference picture: its upper and lower colors, and the picture itself."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safelight.media.headers.header import read_header

if TYPE_CHECKING:
    import pyvips

_SIDE = 512


@dataclass(frozen=True, slots=True)
class Reference:
    """Colors for the sky's top and bottom, and a thumbnail as a PNG data URI."""

    palette: tuple[str, str]
    picture: str


def read(path: Path) -> Reference:
    """Look at the picture; it has been inspected before."""
    from safelight.media.pictures import vips  # noqa: PLC0415  only child processes load it

    with vips.decoding():
        image = vips.open_picture(path, read_header(path).format)
        image = image.thumbnail_image(_SIDE, height=_SIDE, size="both")
        image = vips.to_srgb(image).colourspace("srgb").copy_memory()  # it is read more than once
    if image.hasalpha():
        image = image.flatten(background=[255.0])
    half = image.height // 2
    top = _mean(image.crop(0, 0, image.width, max(half, 1)))
    bottom = _mean(image.crop(0, half, image.width, image.height - half))
    soft = image.gaussblur(2.5)
    encoded = base64.b64encode(soft.write_to_buffer(".png")).decode()
    return Reference((top, bottom), f"data:image/png;base64,{encoded}")


def _mean(image: "pyvips.Image") -> str:
    bands = [image.extract_band(band).avg() for band in range(3)]
    return "#" + "".join(f"{round(value):02x}" for value in bands)

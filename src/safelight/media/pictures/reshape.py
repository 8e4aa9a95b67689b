"""Scales, cuts and encodes one picture, decoding no more of it than that needs; child only."""

from pathlib import Path
from typing import Any

import pyvips

from safelight.media.pictures.picture import Picture
from safelight.media.pictures.spec import Format, Order
from safelight.media.pictures.vips import decoding, to_srgb

_NOTHING = 0  # of the metadata is kept
_WEBP_EFFORT = 2  # more costs twice the time for a thirtieth of the bytes
_AVIF_EFFORT = 1  # 0.2 s at 1024 pixels; 2 takes half as much again for the same bytes
_AVIF_QUALITY = 0.8  # of the number asked for looks like WebP at that number
_WHITE = [255.0, 255.0, 255.0]


def reshape(source: Path, target: Path, order: Order) -> Picture:
    """Return what was written to `target`: upright, in sRGB, the first frame of an animation."""
    with decoding():
        image = to_srgb(_scaled(source, order))
        if image.hasalpha() and order.format is Format.JPEG:
            image = image.flatten(background=_WHITE)
        _encode(image, target, order)
    return Picture(
        target, order.format.media_type, image.width, image.height, target.stat().st_size
    )


def _scaled(source: Path, order: Order) -> pyvips.Image:
    # By name and not by pixels: so JPEG and WebP are decoded at a fraction of their size.
    options: dict[str, Any] = {"size": "force"}
    if order.is_cut:
        options = {"size": "both", "crop": "centre"}
    return pyvips.Image.thumbnail(
        str(source), order.width, height=order.height, fail_on="error", **options
    )


def _encode(image: pyvips.Image, target: Path, order: Order) -> None:
    path, quality = str(target), order.quality
    match order.format:
        case Format.WEBP:
            image.webpsave(path, Q=quality, effort=_WEBP_EFFORT, keep=_NOTHING)
        case Format.AVIF:
            scaled = max(1, round(quality * _AVIF_QUALITY))
            image.heifsave(path, Q=scaled, compression="av1", effort=_AVIF_EFFORT, keep=_NOTHING)
        case Format.PNG:
            image.pngsave(path, keep=_NOTHING)
        case _:
            image.jpegsave(path, Q=quality, optimize_coding=True, keep=_NOTHING)

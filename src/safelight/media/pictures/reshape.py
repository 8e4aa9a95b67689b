"""Scales, crops and encodes one picture, decoding no more than necessary; child only."""

from pathlib import Path
from typing import Any

import pyvips

from safelight.media.headers.header import read_header
from safelight.media.pictures.picture import Picture
from safelight.media.pictures.spec import Format, VariantOrder
from safelight.media.pictures.vips import decoding, open_picture, to_srgb

_NOTHING = 0  # keep no metadata
_WEBP_EFFORT = 2  # more takes twice the time to save 3% of the bytes
_AVIF_EFFORT = 1  # 0.2 s at 1024 pixels; 2 takes 50% longer for the same size
_AVIF_QUALITY = 0.8  # times the requested quality matches WebP's appearance
_SCALED_BY_DECODERS = frozenset({"jpeg", "webp"})
_WHITE = [255.0, 255.0, 255.0]


def reshape(source: Path, target: Path, order: VariantOrder) -> Picture:
    """Write the picture to `target`: upright, in sRGB, the first frame of an animation."""
    with decoding():
        image = to_srgb(_scaled(source, order))
        if image.hasalpha() and order.format is Format.JPEG:
            image = image.flatten(background=_WHITE)
        _encode(image, target, order)
    return Picture(
        target, order.format.media_type, image.width, image.height, target.stat().st_size
    )


def _scaled(source: Path, order: VariantOrder) -> pyvips.Image:
    options: dict[str, Any] = {"size": "force"}
    if order.is_cut:
        options = {"size": "both", "crop": "centre"}
    form = read_header(source).format
    if form not in _SCALED_BY_DECODERS:
        image = open_picture(source, form)
        return image.thumbnail_image(order.width, height=order.height, **options)
    # Load from the path, not from pixels, so that it is decoded at reduced size.
    return pyvips.Image.thumbnail(
        str(source), order.width, height=order.height, fail_on="error", **options
    )


def _encode(image: pyvips.Image, target: Path, order: VariantOrder) -> None:
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

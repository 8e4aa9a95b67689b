"""Scales, crops and encodes one picture, decoding no more than necessary; child only."""

from pathlib import Path
from typing import Any

import pyvips

from safelight.media.headers.header import read_header
from safelight.media.pictures.picture import Picture
from safelight.media.pictures.render import encode
from safelight.media.pictures.spec import Format, VariantOrder
from safelight.media.pictures.vips import decoding, open_picture, to_srgb
from safelight.media.source import Source

_WEBP_EFFORT = 2  # more takes twice the time to save 3% of the bytes
_AVIF_EFFORT = 1  # 0.2 s at 1024 pixels; 2 takes 50% longer for the same size
_AVIF_QUALITY = 0.8  # times the requested quality matches WebP's appearance
_SCALED_BY_DECODERS = frozenset({"jpeg", "webp"})
_WHITE = [255.0, 255.0, 255.0]


def reshape(source: Source, folder: Path | None, order: VariantOrder) -> Picture:
    """Write the picture into `folder`, or into memory: upright, in sRGB, one frame."""
    with decoding():
        image = to_srgb(_scaled(source, order))
        if image.hasalpha() and order.format is Format.JPEG:
            image = image.flatten(background=_WHITE)
        form = order.format.media_type.removeprefix("image/")
        return encode(image, "variant", form, folder, _options(order))


def _scaled(source: Source, order: VariantOrder) -> pyvips.Image:
    options: dict[str, Any] = {"size": "force"}
    if order.is_cut:
        options = {"size": "both", "crop": "centre"}
    form = read_header(source).format
    if form not in _SCALED_BY_DECODERS:
        image = open_picture(source, form)
        return image.thumbnail_image(order.width, height=order.height, **options)
    # From the file, not from pixels, so that it is decoded at reduced size.
    options |= {"height": order.height, "fail_on": "error"}
    if isinstance(source, bytes):
        return pyvips.Image.thumbnail_buffer(source, order.width, **options)
    return pyvips.Image.thumbnail(str(source), order.width, **options)


def _options(order: VariantOrder) -> dict[str, Any]:
    """Return the options of the format's encoder."""
    match order.format:
        case Format.WEBP:
            return {"Q": order.quality, "effort": _WEBP_EFFORT}
        case Format.AVIF:
            scaled = max(1, round(order.quality * _AVIF_QUALITY))
            return {"Q": scaled, "compression": "av1", "effort": _AVIF_EFFORT}
        case Format.PNG:
            return {}
        case _:
            return {"Q": order.quality, "optimize_coding": True}

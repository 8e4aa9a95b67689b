"""Checks a model's textures by their headers against the limits, before any decoder runs."""

from io import BytesIO

from safelight.media.errors import MediaEmpty, MediaTooManyPixels, MediaUnsupported
from safelight.media.headers.header import header_in
from safelight.media.models.check.facts import ModelRules
from safelight.media.models.check.glb import Glb

_FORMATS = frozenset({"png", "jpeg", "webp"})


def check_images(glb: Glb, rules: ModelRules) -> None:
    """Raise `MediaError` unless each texture is a supported picture within the limits.

    Textures that only an extension can read are skipped; nothing here decodes them.
    """
    total = 0
    for index in sorted({index for each in glb.document.textures for index in each.sources()}):
        pixels = _pixels(glb, index)
        if pixels > rules.max_texture_pixels:
            raise MediaTooManyPixels(
                f"Texture {index} has {pixels} pixels; at most {rules.max_texture_pixels}."
            )
        total += pixels
    if total > rules.max_pixels:
        raise MediaTooManyPixels(f"All textures have {total} pixels; at most {rules.max_pixels}.")


def _pixels(glb: Glb, index: int) -> int:
    try:
        header = header_in(BytesIO(glb.image(index)))
    except (MediaEmpty, MediaUnsupported):
        raise MediaUnsupported(f"Texture {index} of the 3D file is no picture.") from None
    if header.format not in _FORMATS:
        raise MediaUnsupported(f"Texture {index} of the 3D file is neither PNG, JPEG nor WebP.")
    return header.width * header.height

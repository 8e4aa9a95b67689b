"""Decodes a picture once, completely, and reads its facts on the way; child only."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyvips

from safelight.media.errors import MediaTruncated
from safelight.media.facts import Facts, InspectRules, check_size
from safelight.media.headers.header import Header
from safelight.media.metadata import metadata
from safelight.media.pictures import appearance
from safelight.media.pictures.gif import is_whole
from safelight.media.pictures.picture import RENDITION_SIDES
from safelight.media.pictures.vips import (
    decoding,
    field,
    frames_of,
    has_profile,
    open_picture,
    orientation_of,
    pages_of,
    pixels_of,
    settled,
    text_field,
    to_srgb,
    upright,
)
from safelight.media.source import Source, opened, size_of

_SMALL = 100  # pixels of the longest side, the maximum for a ThumbHash
_COLOR_BANDS = 3
_SPACES = {
    "srgb": "rgb",
    "rgb": "rgb",
    "rgb16": "rgb",
    "scrgb": "rgb",
    "b-w": "gray",
    "grey16": "gray",
    "cmyk": "cmyk",
    "lab": "lab",
    "labs": "lab",
}
_DEPTHS = {"uchar": 8, "char": 8, "ushort": 16, "short": 16, "uint": 32, "int": 32, "float": 32}
_TURNED = 5  # the first EXIF orientation that swaps width and height


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture's facts, and its pixels in 8-bit sRGB, not yet rotated upright.

    `sizes` are by rendition name; one that needs no reduction is the same object as the one before.
    `whole` is present on request, except for animations and GIFs, which are not re-encoded.
    `chroma` is a JPEG's subsampling, such as `4:2:0`.
    """

    facts: Facts
    chroma: str
    sizes: dict[str, pyvips.Image]
    whole: pyvips.Image | None


def examine(source: Source, header: Header, rules: InspectRules, *, whole: bool = False) -> Seen:
    """Decode a picture whose header has passed the checks."""
    form = header.format
    if form == "gif" and not is_whole(source):
        raise MediaTruncated
    with decoding():
        image = open_picture(source, form)
        frames = frames_of(image, form)
        # Check the decoder's own values too: it does the allocation.
        check_size(image.width, image.height, frames, rules)
        if frames > 1:
            # Read every frame to detect damage, even though that decodes the first one twice.
            open_picture(source, form, every_frame=True).avg()
        is_still = form != "gif" and frames == 1
        is_kept = (whole and is_still) or _fits(image, max(RENDITION_SIDES.values()))
        decoded = settled(to_srgb(image)) if is_kept else image
        sizes = _sizes(decoded)
        facts = _facts(source, header, image, sizes["thumb"])
    chroma = text_field(image, "jpeg-chroma-subsample")
    return Seen(facts, chroma, sizes, decoded if whole and is_still else None)


def _sizes(image: pyvips.Image) -> dict[str, pyvips.Image]:
    """Return the renditions' pixels, each derived from the previous one; reads every pixel.

    A picture that fits into the first of them must be settled, in sRGB.
    """
    made: dict[str, pyvips.Image] = {}
    for name, side in RENDITION_SIDES.items():
        if not _fits(image, side):
            smaller = image.thumbnail_image(side, height=side, size="down", no_rotate=True)
            image = settled(to_srgb(settled(smaller)))
        made[name] = image
    return made


def _fits(image: pyvips.Image, side: int) -> bool:
    return max(image.width, image.height) <= side


def _facts(source: Source, header: Header, image: pyvips.Image, thumb: pyvips.Image) -> Facts:
    small = thumb
    if not _fits(thumb, _SMALL):
        small = settled(thumb.thumbnail_image(_SMALL, height=_SMALL, size="down", no_rotate=True))
    shown = upright(small)
    pixels = _rgba(shown)
    orientation = orientation_of(image)
    turned = orientation >= _TURNED
    form = header.format
    told = metadata.read(image)
    return Facts(
        format=form,
        media_type=f"image/{form}",
        width=image.height if turned else image.width,
        height=image.width if turned else image.height,
        frames=max(header.frames, frames_of(image, form)),
        pages=pages_of(image, form),
        color_space=_SPACES.get(str(image.interpretation), "other"),
        depth=field(image, "bits-per-sample", _DEPTHS.get(str(image.format), 0)),
        has_alpha=bool(image.hasalpha()),  # pyvips returns a number
        has_icc=has_profile(image),
        has_location=told.has_location,
        orientation=orientation,
        colors=appearance.main_colors(pixels),
        placeholder=appearance.thumbhash(pixels),
        perceptual_hash=appearance.difference_hash(_gray(shown)),
        sha256=_sha256(source),
        bytes=size_of(source),
        exif=told.exif,
        iptc=told.iptc,
        xmp=told.xmp,
    )


def _rgba(small: pyvips.Image) -> appearance.Bytes:
    """Return rows of RGBA pixels; `small` is 8-bit gray or sRGB, with or without alpha."""
    data = np.frombuffer(pixels_of(small), dtype=np.uint8)
    bands = data.reshape(small.height, small.width, small.bands)
    alpha = bands[..., -1:] if small.hasalpha() else np.full_like(bands[..., :1], 255)
    color = bands[..., :1].repeat(3, axis=2) if small.bands < _COLOR_BANDS else bands[..., :3]
    return np.concatenate([color, alpha], axis=2)


def _gray(small: pyvips.Image) -> appearance.Bytes:
    flat = small.flatten(background=[255]) if small.hasalpha() else small
    tiny = flat.colourspace("b-w").thumbnail_image(9, height=8, size="force")
    return np.frombuffer(pixels_of(tiny), dtype=np.uint8)


def _sha256(source: Source) -> str:
    with opened(source) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Decodes a picture once, from end to end, and gathers its facts on the way; child only."""

import hashlib
from pathlib import Path

import numpy as np
import pyvips

from safelight.assets import appearance, exif
from safelight.assets.facts import Exif, Facts, InspectRules, check_size
from safelight.assets.gif import is_whole
from safelight.assets.header import Header
from safelight.assets.vips import (
    decoding,
    field,
    frames_of,
    open_picture,
    orientation_of,
    to_srgb,
)
from safelight.errors import MediaTruncated

_SMALL = 100  # pixels of the longest side, the most a thumbhash takes
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
_TURNED = 5  # the first of EXIF's orientations that swap width and height


def examine(path: Path, header: Header, rules: InspectRules) -> Facts:
    """Return the facts of a picture whose header has passed."""
    form = header.format
    if form == "gif" and not is_whole(path):
        raise MediaTruncated
    with decoding():
        image = open_picture(path, form)
        frames = frames_of(image, form)
        # The decoder's own idea counts too: it is the one that allocates.
        check_size(image.width, image.height, frames, rules)
        if frames > 1:
            # The first frame is decoded twice; reading all of them is what finds damage.
            open_picture(path, form, every_frame=True).avg()
        return _facts(path, form, image, frames)


def _facts(path: Path, form: str, image: pyvips.Image, frames: int) -> Facts:
    small = _small(image)
    pixels = _rgba(small)
    fields = image.get_fields()
    orientation = orientation_of(image)
    turned = orientation >= _TURNED
    return Facts(
        format=form,
        media_type=f"image/{form}",
        width=image.height if turned else image.width,
        height=image.width if turned else image.height,
        frames=frames,
        color_space=_SPACES.get(str(image.interpretation), "other"),
        depth=field(image, "bits-per-sample", _DEPTHS.get(str(image.format), 0)),
        has_alpha=bool(image.hasalpha()),  # pyvips answers with a number
        has_icc="icc-profile-data" in fields,
        has_location=exif.has_location(fields),
        orientation=orientation,
        colors=appearance.main_colors(pixels),
        placeholder=appearance.thumbhash(pixels),
        perceptual_hash=appearance.difference_hash(_gray(small)),
        sha256=_sha256(path),
        bytes=path.stat().st_size,
        exif=_exif(image, fields),
    )


def _small(image: pyvips.Image) -> pyvips.Image:
    """Return the picture at thumbnail size, upright and in memory; this reads every pixel."""
    small = image.thumbnail_image(_SMALL, height=_SMALL, size="down", no_rotate=True)
    return to_srgb(small.copy_memory()).autorot()


def _rgba(small: pyvips.Image) -> appearance.Bytes:
    """Return rows of RGBA pixels; `small` is 8-bit and gray or sRGB, with alpha or without."""
    data = np.frombuffer(small.write_to_memory(), dtype=np.uint8)
    bands = data.reshape(small.height, small.width, small.bands)
    alpha = bands[..., -1:] if small.hasalpha() else np.full_like(bands[..., :1], 255)
    color = bands[..., :1].repeat(3, axis=2) if small.bands < _COLOR_BANDS else bands[..., :3]
    return np.concatenate([color, alpha], axis=2)


def _gray(small: pyvips.Image) -> appearance.Bytes:
    flat = small.flatten(background=[255]) if small.hasalpha() else small
    tiny = flat.colourspace("b-w").thumbnail_image(9, height=8, size="force")
    return np.frombuffer(tiny.extract_band(0).cast("uchar").write_to_memory(), dtype=np.uint8)


def _exif(image: pyvips.Image, fields: list[str]) -> Exif:
    found: dict[str, str | int | float] = {}
    for tag, name in exif.wanted(fields).items():
        try:
            value = exif.value(str(image.get(name)))
        except UnicodeDecodeError:  # text in no known encoding is no text
            continue
        if value is not None:
            found[tag] = value
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

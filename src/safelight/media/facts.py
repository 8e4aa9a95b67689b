"""Limits on pictures, and the facts read from one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from safelight.json_object import JsonObject
from safelight.media.errors import MediaTooManyPixels
from safelight.media.headers.header import FORMATS

Exif = Mapping[str, str | int | float]
Described = Mapping[str, str | int | float | list[str]]
"""IPTC or XMP values, under our own names."""


@dataclass(frozen=True, slots=True)
class InspectRules:
    """Limits on a picture. Pixels are width times height, for an animation also times frames."""

    max_pixels: int = 60_000_000
    max_frames: int = 500
    max_animation_pixels: int = 200_000_000
    formats: frozenset[str] = frozenset(FORMATS.values())


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts read from the bytes of a picture.

    Width and height are as displayed, after `orientation` (EXIF's 1 to 8). `depth` is bits per
    sample. `colors` are up to five, most frequent first, as `#rrggbb`. `placeholder` is a
    thumbhash in base64, `perceptual_hash` a 64-bit difference hash in hex. `exif`, `iptc` and
    `xmp` omit the location; `has_location` says that the original contains one. `pages` counts
    the pages of a TIFF or the pictures of an AVIF; only the first is shown, as with the `frames`
    of an APNG.
    """

    format: str
    media_type: str
    width: int
    height: int
    frames: int
    color_space: str  # rgb, gray, cmyk, lab or other
    depth: int
    has_alpha: bool
    has_icc: bool
    has_location: bool
    orientation: int
    colors: tuple[str, ...]
    placeholder: str
    perceptual_hash: str
    sha256: str
    bytes: int
    pages: int = 1
    exif: Exif = field(default_factory=dict[str, str | int | float])
    iptc: Described = field(default_factory=dict[str, str | int | float | list[str]])
    xmp: Described = field(default_factory=dict[str, str | int | float | list[str]])

    def document(self) -> JsonObject:
        """Return the facts without an asset column, as JSON values."""
        described = {"iptc": dict(self.iptc), "xmp": dict(self.xmp)}
        return {
            "format": self.format,
            "frames": self.frames,
            "pages": self.pages,
            "color_space": self.color_space,
            "depth": self.depth,
            "has_alpha": self.has_alpha,
            "has_icc": self.has_icc,
            "has_location": self.has_location,
            "orientation": self.orientation,
            "colors": list(self.colors),
            "perceptual_hash": self.perceptual_hash,
            "exif": dict(self.exif),
        } | {name: found for name, found in described.items() if found}


def check_size(width: int, height: int, frames: int, rules: InspectRules) -> None:
    """Raise `MediaTooManyPixels` for a picture that exceeds a limit."""
    if width * height > rules.max_pixels:
        raise MediaTooManyPixels(f"{width} x {height} is more than {rules.max_pixels} pixels.")
    if frames > rules.max_frames:
        raise MediaTooManyPixels(f"{frames} frames are more than {rules.max_frames}.")
    if frames > 1 and width * height * frames > rules.max_animation_pixels:
        raise MediaTooManyPixels(
            f"{frames} frames of {width} x {height} are more than "
            f"{rules.max_animation_pixels} pixels."
        )

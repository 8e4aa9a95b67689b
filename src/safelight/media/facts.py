"""What a picture may be, and what is known of it once it has been looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safelight.media.errors import MediaTooManyPixels
from safelight.media.headers.header import FORMATS

Exif = Mapping[str, str | int | float]
Described = Mapping[str, str | int | float | list[str]]
"""What IPTC or XMP says, under names of our own."""


@dataclass(frozen=True, slots=True)
class InspectRules:
    """What a picture may be. Pixels are width times height, an animation's times its frames too."""

    max_pixels: int = 60_000_000
    max_frames: int = 500
    max_animation_pixels: int = 200_000_000
    formats: frozenset[str] = frozenset(FORMATS.values())


@dataclass(frozen=True, slots=True)
class Facts:
    """What the bytes of a picture say.

    Width and height are as seen, after `orientation` (EXIF's 1 to 8). `depth` is bits a sample.
    `colors` are up to five, most frequent first, as `#rrggbb`. `placeholder` is a thumbhash in
    base64, `perceptual_hash` a 64-bit difference hash in hex. `exif` leaves the place out,
    `iptc` and `xmp` too; `has_location` tells that the original names one. `pages` counts a TIFF's
    pages or an AVIF's pictures, of which the first is shown, as it is of an APNG's `frames`.
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

    def document(self) -> dict[str, Any]:
        """Return, fit for JSON, the facts that an asset has no column for."""
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
    """Raise `MediaTooManyPixels` for a picture beyond the budgets."""
    if width * height > rules.max_pixels:
        raise MediaTooManyPixels(f"{width} x {height} is more than {rules.max_pixels} pixels.")
    if frames > rules.max_frames:
        raise MediaTooManyPixels(f"{frames} frames are more than {rules.max_frames}.")
    if frames > 1 and width * height * frames > rules.max_animation_pixels:
        raise MediaTooManyPixels(
            f"{frames} frames of {width} x {height} are more than "
            f"{rules.max_animation_pixels} pixels."
        )

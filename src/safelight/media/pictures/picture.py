"""What a child hands back of the pictures that it made. Pure."""

from dataclasses import dataclass
from pathlib import Path

# Longest sides in pixels, largest first: each is made from the one before.
RENDITION_SIDES = {"preview": 1024, "thumb": 256}


@dataclass(frozen=True, slots=True)
class Picture:
    """One file that was made; width and height in pixels, upright."""

    path: Path
    media_type: str
    width: int
    height: int
    bytes: int

"""A picture file that a child has written."""

from dataclasses import dataclass
from pathlib import Path

# Longest sides in pixels, largest first: each is derived from the previous one.
RENDITION_SIDES = {"preview": 1024, "thumb": 256}


@dataclass(frozen=True, slots=True)
class Picture:
    """A written file; width and height in pixels, upright."""

    path: Path
    media_type: str
    width: int
    height: int
    bytes: int

"""A picture that a child has encoded. Pure."""

from dataclasses import dataclass
from pathlib import Path

from safelight.media.source import Source

# Longest sides in pixels, largest first: each is derived from the previous one.
RENDITION_SIDES = {"preview": 1024, "thumb": 256}


@dataclass(frozen=True, slots=True)
class InMemory:
    """The bytes of a small file."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture, small or in a file; width and height in pixels, upright."""

    content: Path | InMemory
    media_type: str
    width: int
    height: int
    bytes: int

    @property
    def source(self) -> Source:
        """The file, or the bytes of one."""
        return self.content.data if isinstance(self.content, InMemory) else self.content

"""Makes the public copy and smaller pictures of an asset: what a child is asked, and its answer.

This module is light, because the server imports it to name the function.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Picture:
    """One file that was made; width and height in pixels, upright."""

    path: Path
    media_type: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Renditions:
    """What was made of a picture: `pictures` by the name of the rendition."""

    served: Picture | None
    pictures: dict[str, Picture]


def make_renditions(
    source: Path,
    folder: Path,
    served: bool,
) -> Renditions:
    """Write `thumb` and `preview` of an inspected picture into `folder`; for a child process.

    With `served`, write the public copy too: upright, 8-bit sRGB and without any metadata, so
    without the place where it was taken.
    """
    from safelight.assets.render import render  # noqa: PLC0415  only children load the decoder

    return render(source, folder, served=served)

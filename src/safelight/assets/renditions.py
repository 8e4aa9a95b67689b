"""Makes the public copy and smaller pictures of an asset: the function to run in a child.

This module is light, because the server imports it to name the function.
"""

from pathlib import Path

from safelight.assets.picture import Picture, Renditions

__all__ = ["Picture", "Renditions", "make_renditions"]


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

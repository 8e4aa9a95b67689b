"""The peer's renditions: the two that Safelight makes of each picture, by Pillow."""

from io import BytesIO
from pathlib import Path

from PIL import Image

_EFFORT = 2  # of WebP, as Safelight's
_SIDES = (("preview", 1024), ("thumb", 256))  # each made from the one before


def write_renditions(picture: bytes, path: Path) -> None:
    """Decode `picture` and write both renditions beside `path`."""
    with Image.open(BytesIO(picture)) as opened:
        whole = opened.convert("RGB")
    for name, side in _SIDES:
        whole.thumbnail((side, side), Image.Resampling.LANCZOS)
        whole.save(path.with_suffix(f".{name}.webp"), quality=80, method=_EFFORT)

"""Makes of a photograph what Safelight makes of it, with Pillow: python -m … SOURCE FOLDER."""

import hashlib
import shutil
import sys
from functools import partial
from pathlib import Path

from PIL import Image, ImageOps

from bench.peers.asked import answer

_EFFORT = 2  # of WebP, as Safelight's


def make(source: Path, folder: Path) -> None:
    """Write the public copy and both renditions, and keep the original."""
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    with Image.open(source) as opened:
        whole = ImageOps.exif_transpose(opened).convert("RGB")
    whole.info.clear()  # or its metadata would go along
    whole.save(folder / "served.jpeg", quality=90, subsampling="4:2:0")  # as the photograph's
    for name, side in (("preview", 1024), ("thumb", 256)):  # each made from the one before
        whole.thumbnail((side, side), Image.Resampling.LANCZOS)
        whole.save(folder / f"{name}.webp", quality=80, method=_EFFORT)
    shutil.copyfile(source, folder / "original")


if __name__ == "__main__":
    answer(partial(make, Path(sys.argv[1]), Path(sys.argv[2])))

"""Makes a photograph of 12 megapixels: the same bytes every time, about as large as a camera's."""

from functools import reduce
from operator import add
from pathlib import Path

import pyvips

WIDTH, HEIGHT = 4000, 3000
# Noise at several scales, from the sensor's grain to clouds: pixels a grain, and how strong.
_LAYERS = ((1, 9), (4, 10), (16, 16), (100, 30))
_TINT = (50, 14)
_BAND = 700  # pixels from one hard edge to the one after the next


def photograph(path: Path) -> None:
    """Write it to `path`: 4:2:0 at quality 90, upright, no profile, a camera's name in EXIF."""
    place = pyvips.Image.xyz(WIDTH, HEIGHT)
    light = reduce(add, (_noise(seed, *layer) for seed, layer in enumerate(_LAYERS)))
    edges = ((place[0] * 3 + place[1]) % _BAND < _BAND // 2).ifthenelse(20, -20)
    bands = [
        light + edges + _noise(20 + band, *_TINT) + place[band % 2] * (60 / HEIGHT) + 70
        for band in range(3)
    ]
    image = bands[0].bandjoin([*bands[1:]]).cast("uchar").copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "Safelight")
    image.jpegsave(str(path), Q=90, subsample_mode="on")


def _noise(seed: int, grain: int, strength: int) -> pyvips.Image:
    across, down = WIDTH // grain + 2, HEIGHT // grain + 2
    noise = pyvips.Image.gaussnoise(across, down, mean=0, sigma=strength, seed=seed)
    return noise.resize(grain, kernel="cubic").crop(0, 0, WIDTH, HEIGHT)

"""Makes PNGs that compress like real pictures: waves of color under some noise."""

import pyvips

_GRAIN = 6  # of the noise, in 8-bit steps


def noisy_png(side: int, seed: int) -> bytes:
    """Return a square picture of `side` pixels, another one for each `seed`."""
    place = pyvips.Image.xyz(side, side) * (360.0 / side)
    waves = [(place[band % 2] * (band + 1) + 40 * seed).sin() * 100 + 128 for band in range(3)]
    noise = pyvips.Image.gaussnoise(side, side, sigma=_GRAIN, mean=0, seed=seed)
    image = (waves[0].bandjoin([*waves[1:]]) + noise).cast("uchar").copy(interpretation="srgb")
    return image.pngsave_buffer()

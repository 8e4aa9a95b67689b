"""The canvas that scenery is painted on: size, random numbers, season and daylight."""

import math
from dataclasses import dataclass
from random import Random

from safelight.providers.local.sketch.colors import shade


@dataclass(frozen=True, slots=True)
class Canvas:
    """The size of the picture and the random numbers for its details."""

    width: int
    height: int
    random: Random

    @property
    def horizon(self) -> float:
        """The height of the horizon, in pixels from the top."""
        return self.height * 0.62

    @property
    def unit(self) -> float:
        """One percent of the shorter side."""
        return min(self.width, self.height) / 100


@dataclass(frozen=True, slots=True)
class Hour:
    """Brightness, from 0 to 1, and season."""

    dim: float = 1.0
    snowy: bool = False
    autumn: bool = False

    def lit(self, light: float) -> float:
        """Return a lightness adjusted to the brightness."""
        return light * (0.42 + 0.58 * self.dim)

    def grass(self, light: float) -> str:
        """Return the color of grassy or snowy land; `light` from 0 to 1."""
        if self.snowy:
            return shade(0.58, 0.28, self.lit(0.82 + light * 0.17))
        hue, saturation = (0.15, 0.42) if self.autumn else (0.28, 0.42)
        return shade(hue, saturation, self.lit(0.32 + light * 0.34))


def ridge(canvas: Canvas, base: float, height: float, fill: str) -> str:
    """Return a silhouette of hills with mean height `base`."""
    first, second = canvas.random.uniform(0, 9), canvas.random.uniform(0, 9)
    points: list[str] = []
    for step in range(49):
        wave = math.sin(step * 0.31 + first) * 0.5 + math.sin(step * 0.125 + second) * 0.5
        points.append(f"{canvas.width * step / 48:.0f} {base + height * wave:.0f}")
    return (
        f'<path d="M0 {canvas.height} L{" L".join(points)} L{canvas.width} {canvas.height}Z" '
        f'fill="{fill}"/>'
    )


def slope(canvas: Canvas, name: str, top: float, upper: str, lower: str) -> str:
    """Define a gradient called `name` from `top` down to the picture's lower edge."""
    return (
        f'<defs><linearGradient id="{name}" gradientUnits="userSpaceOnUse" x1="0" x2="0" '
        f'y1="{top:.0f}" y2="{canvas.height}"><stop stop-color="{upper}"/>'
        f'<stop offset="1" stop-color="{lower}"/></linearGradient></defs>'
    )

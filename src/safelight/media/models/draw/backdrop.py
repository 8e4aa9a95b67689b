"""The backdrop of a model: a bright wall and floor, and a soft shadow on the ground."""

import numpy as np

from safelight.media.models.arrays import Floats, Ints
from safelight.media.models.draw.camera import Camera
from safelight.media.models.draw.light import KEY, vector
from safelight.media.models.draw.raster import covered
from safelight.media.models.draw.stage import Stage

_TOP, _BOTTOM = vector(0.88, 0.90, 0.93), vector(0.70, 0.72, 0.76)
_VIGNETTE = 0.16
_DETAIL = 4  # image pixels per shadow pixel; the shadow is blurred anyway
_LEAST, _MOST = 96, 256  # pixels of its side
_REACH = 3.2  # width of the shadow map, in radii of the model
# Shadow offset per unit of height, blur in radii, and darkness.
_SHADOWS = ((0.05, 0.05, 0.42), (0.45, 0.17, 0.34))


class Backdrop:
    """The backdrop for one camera, with the shadow of one rotating model."""

    def __init__(self, camera: Camera, stage: Stage) -> None:
        self._ground = stage.ground
        self._side = min(max(camera.side // _DETAIL, _LEAST), _MOST)
        self._wide = _wider(stage, _REACH / self._side)
        self._wall = _wall(camera.side)
        # The direction of shadows cast by the key light, in the model's axes.
        self._away = -(KEY @ camera.turn)[[0, 2]]
        self._blurs = [_blur(self._side, each * self._side / _REACH) for _, each, _ in _SHADOWS]
        places = (camera.ground(stage.ground) / _REACH + 0.5) * self._side - 0.5
        inside = (places >= 0) & (places < self._side - 1)
        self._floor = np.flatnonzero(inside[:, 0] & inside[:, 1])
        self._first = np.floor(places[self._floor]).astype(np.int64)
        self._beyond = (places[self._floor] - self._first).astype(np.float32)

    def behind(self, points: Floats) -> Floats:
        """Return the backdrop's light (side * side, 3), shadowed by the model's rotated points."""
        lit = np.ones((self._side, self._side), np.float32)
        for (lean, _, darkness), blur in zip(_SHADOWS, self._blurs, strict=True):
            lit *= 1 - np.float32(darkness) * (blur @ self._thrown(points, lean) @ blur)
        light = self._wall.copy()
        light[self._floor] *= self._seen(lit)[:, None]
        return light

    def _thrown(self, points: Floats, lean: float) -> Floats:
        """Return 1 where the model blocks the light from the ground, else 0."""
        height = points[:, 1:2] - self._ground
        places = points[:, [0, 2]] + height * (self._away * lean)
        pixels = (places / _REACH + 0.5) * self._side
        shadow = covered(pixels[self._wide], self._side)
        columns, rows = np.clip(pixels, 0, self._side - 1).astype(np.int64).T
        shadow[rows, columns] = True
        return shadow.astype(np.float32)

    def _seen(self, ground: Floats) -> Floats:
        """Sample the ground map (rows along z, columns along x) at each visible floor pixel."""
        (column, row), (x, y) = self._first.T, self._beyond.T
        near = ground[row, column] * (1 - x) + ground[row, column + 1] * x
        far = ground[row + 1, column] * (1 - x) + ground[row + 1, column + 1] * x
        return near * (1 - y) + far * y


def _wider(stage: Stage, size: float) -> Ints:
    """Return the triangles (k, 3) wider than `size`; corners suffice for the others."""
    wide = np.zeros(len(stage.triangles), bool)
    for one, two in ((0, 1), (1, 2), (2, 0)):
        edges = stage.points[stage.triangles[:, one]] - stage.points[stage.triangles[:, two]]
        wide |= (edges * edges).sum(axis=1) > size * size
    return stage.triangles[wide]


def _wall(side: int) -> Floats:
    down = ((np.arange(side, dtype=np.float32) + 0.5) / side)[:, None]
    mix = down**1.5
    far = (down - 0.5) ** 2 + (down.T - 0.5) ** 2
    rows = _TOP * (1 - mix) + _BOTTOM * mix
    return (rows[:, None] * (1 - _VIGNETTE * far * 2)[..., None]).reshape(-1, 3)


def _blur(side: int, sigma: float) -> Floats:
    """Return the symmetric blur matrix (side, side): left for columns, right for rows.

    Values beyond the edges count as 0.
    """
    off = np.subtract.outer(np.arange(side), np.arange(side))
    bell = np.exp(-(off**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    return bell.astype(np.float32)

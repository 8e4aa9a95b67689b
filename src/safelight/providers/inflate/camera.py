"""Where a rendering is seen from: turned about a model, looking at its middle."""

from dataclasses import dataclass

import numpy as np

from safelight.providers.inflate.arrays import Floats
from safelight.providers.inflate.mesh import Mesh

_DISTANCE = 4.2  # radii of the model: near enough for some perspective
_FILL = 0.86  # of the image's width, for a ball around the model
_RAISED = 0.03  # of the image's height, for the shadow below


@dataclass(frozen=True, slots=True)
class Camera:
    """A view of `side` by `side` pixels. The view's axes: x right, y up, z towards the camera."""

    turn: Floats  # (3, 3), from the model's axes to the view's
    middle: Floats  # (3,), what it looks at
    radius: float  # of a ball around the model
    side: int

    @classmethod
    def facing(cls, mesh: Mesh, yaw: float, pitch: float, side: int) -> "Camera":
        """Return the camera `yaw` degrees to the right of the front and `pitch` above it."""
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        middle = (low.astype(np.float64) + high) / 2
        radius = float(np.linalg.norm(mesh.vertices - middle, axis=1).max())
        around, over = np.radians(-yaw), np.radians(pitch)
        yawed = np.array(
            [
                [np.cos(around), 0, np.sin(around)],
                [0, 1, 0],
                [-np.sin(around), 0, np.cos(around)],
            ]
        )
        pitched = np.array(
            [[1, 0, 0], [0, np.cos(over), -np.sin(over)], [0, np.sin(over), np.cos(over)]]
        )
        return cls(pitched @ yawed, middle, radius, side)

    def to_view(self, places: Floats) -> Floats:
        """Return the model's places (n, 3) in the view's axes, the middle at 0."""
        return (places - self.middle) @ self.turn.T

    def project(self, seen: Floats) -> tuple[Floats, Floats]:
        """Return where on the image (n, 2, pixels) places of the view lie, and how far off."""
        depths = self._distance - seen[:, 2]
        scale = self._focal / depths
        x = self.side / 2 + seen[:, 0] * scale
        y = self.side * (0.5 - _RAISED) - seen[:, 1] * scale
        return np.stack([x, y], axis=1), depths

    def ground(self, height: float) -> Floats:
        """Return (side * side, 2): the model's x and z where each pixel meets the plane y=height.

        NaN where it never does.
        """
        down, across = np.mgrid[: self.side, : self.side] + 0.5
        x = (across.ravel() - self.side / 2) / self._focal
        y = (self.side * (0.5 - _RAISED) - down.ravel()) / self._focal
        rays = np.stack([x, y, np.full_like(x, -1.0)], axis=1) @ self.turn
        origin = np.array([0, 0, self._distance]) @ self.turn + self.middle
        falling = np.where(rays[:, 1] < 0, rays[:, 1], np.nan)
        along = (height - origin[1]) / falling
        return origin[[0, 2]] + rays[:, [0, 2]] * along[:, None]

    @property
    def _distance(self) -> float:
        return _DISTANCE * self.radius

    @property
    def _focal(self) -> float:
        """Pixels that one unit at a distance of one unit takes up."""
        reach = self.radius / np.sqrt(self._distance**2 - self.radius**2)
        return float(_FILL / 2 * self.side / reach)

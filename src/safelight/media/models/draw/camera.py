"""A fixed camera, in front of which the model rotates.

Models are scaled to a ball of radius 1 around the origin. The camera's axes are x right, y up and z
toward it; the model's axes coincide with them at pitch 0.
"""

from dataclasses import dataclass

import numpy as np

from safelight.media.models.arrays import Floats

_DISTANCE = 4.2  # close enough for some perspective
_FILL = 0.86  # share of the image's width for the bounding ball
_RAISED = 0.03  # share of the image's height, to leave room for the shadow


@dataclass(frozen=True, slots=True)
class Camera:
    """A view of `side` by `side` pixels, `pitch` degrees from above."""

    pitch: float
    side: int

    @property
    def turn(self) -> Floats:
        """The rotation (3, 3) from the model's axes to the camera's."""
        over = np.radians(self.pitch)
        return np.array(
            [[1, 0, 0], [0, np.cos(over), -np.sin(over)], [0, np.sin(over), np.cos(over)]]
        )

    def project(self, places: Floats) -> tuple[Floats, Floats]:
        """Return the positions on the image (n, 2), in pixels, and 1 / depth."""
        seen = places @ self.turn.T
        nearness = 1 / (_DISTANCE - seen[:, 2])
        x = self.side / 2 + seen[:, 0] * self._focal * nearness
        y = self.side * (0.5 - _RAISED) - seen[:, 1] * self._focal * nearness
        return np.stack([x, y], axis=1), nearness

    def ground(self, height: float) -> Floats:
        """Return (side * side, 2): the model's x and z where each pixel meets the plane y=height.

        Not finite where it does not.
        """
        middles = np.arange(self.side) + 0.5
        right = (middles - self.side / 2) / self._focal
        up = (self.side * (0.5 - _RAISED) - middles) / self._focal
        # The camera never rolls, so all pixels of a row have the same slope.
        rays = np.stack([np.zeros_like(up), up, np.full_like(up, -1.0)], axis=1) @ self.turn
        origin = np.array([0, 0, _DISTANCE]) @ self.turn
        along = (height - origin[1]) / np.where(rays[:, 1] < 0, rays[:, 1], np.nan)
        places = np.empty((self.side, self.side, 2), np.float32)
        places[..., 0] = np.outer(along, right)
        places[..., 1] = (origin[2] + rays[:, 2] * along)[:, None]
        return places.reshape(-1, 2)

    @property
    def _focal(self) -> float:
        """The focal length: pixels per unit at a distance of one unit."""
        return float(_FILL / 2 * self.side * np.sqrt(_DISTANCE**2 - 1))


def turned(places: Floats, yaw: float) -> Floats:
    """Return points (n, 3) of a model seen from `yaw` degrees to the right of its front."""
    around = np.radians(-yaw)
    turn = np.array(
        [
            [np.cos(around), 0, np.sin(around)],
            [0, 1, 0],
            [-np.sin(around), 0, np.cos(around)],
        ]
    )
    return places @ turn.T.astype(places.dtype)

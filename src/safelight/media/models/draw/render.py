"""Renders a stage without a GPU or a display: visibility, colors, lighting."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from safelight.media.models.arrays import Bools, Bytes, Floats, Ints
from safelight.media.models.draw.backdrop import Backdrop
from safelight.media.models.draw.camera import Camera, turned
from safelight.media.models.draw.light import shade, to_srgb
from safelight.media.models.draw.raster import SAMPLES, Hits, Raster, doubled_area, weights
from safelight.media.models.draw.stage import COLOR, HEIGHT, NORMAL, PLACE, Layer, Stage
from safelight.media.models.draw.textures import Textures

_FLAT = 0.05  # normals shorter than this count as missing
_TINY = np.float32(1e-20)
# Alpha thresholds by sample: translucent surfaces become a fine pattern, which averaging the
# samples smooths (Bayer ordered dithering).
_PATTERN = (
    np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32) + 0.5
) / 16


class Renderer:
    """Renders one stage from one camera, at any rotation."""

    def __init__(self, stage: Stage, textures: Textures, pitch: float, size: int) -> None:
        """Set up for pictures of `size` by `size` pixels, seen from `pitch` degrees above."""
        self._stage = stage
        self._textures = textures
        self._size = size
        self._camera = Camera(pitch, size * SAMPLES)
        self._backdrop = Backdrop(Camera(pitch, size), stage)

    def draw(self, yaw: float) -> Bytes:
        """Return (size, size, 3), sRGB: the model from `yaw` degrees to the right of its front."""
        view = _View.of(self._stage, self._textures, self._camera, yaw)
        image = self._backdrop.behind(view.points)
        model = np.zeros_like(image)
        free = np.ones(len(image), np.float32)
        for hits in view.visible(self._size):
            model[hits.pixels] += view.light(hits.triangles, hits.samples) * hits.shares[:, None]
            free[hits.pixels] -= hits.shares
        image *= free[:, None]
        image += model
        return to_srgb(image).reshape(self._size, self._size, 3)


@dataclass(frozen=True, slots=True)
class _View:
    """A rotated stage as one camera sees it; image positions are in samples."""

    stage: Stage
    textures: Textures
    camera: Camera
    yaw: float
    points: Floats  # (n, 3)
    corners: Floats  # (m, 3, 2)
    nearness: Floats  # (m, 3)
    areas: Floats  # (m,), negative for front faces

    @classmethod
    def of(cls, stage: Stage, textures: Textures, camera: Camera, yaw: float) -> "_View":
        points = turned(stage.points, yaw)
        places, nearness = camera.project(points.astype(np.float64))
        corners = places[stage.triangles]
        near, areas = nearness[stage.triangles], doubled_area(corners)
        return cls(stage, textures, camera, yaw, points, corners, near, areas)

    def visible(self, size: int) -> Iterator[Hits]:
        """Return the visible triangles for `size` by `size` pixels."""
        paints, paint = self.stage.paints, self.stage.paint
        shown = (self.areas < 0) | (paints.is_double_sided[paint] & (self.areas > 0))
        is_cut = paints.is_cut[paint]
        raster = Raster(size)
        raster.add(self.corners, self.nearness, np.flatnonzero(shown & ~is_cut))
        raster.add(self.corners, self.nearness, np.flatnonzero(shown & is_cut), self._is_there)
        return raster.hits()

    def light(self, triangles: Ints, samples: Ints) -> Floats:
        """Return the light (k, 3) of samples toward the camera."""
        traits = self._traits(triangles, samples)
        normals = self._normals(triangles, traits)
        seen = normals @ self.camera.turn.T.astype(np.float32)
        above = traits[:, HEIGHT] - np.float32(self.stage.ground)
        color = self._color(triangles, traits)[:, :3]
        light = shade(color, seen, normals[:, 1], above)
        if self.stage.paints.glow.factors[:, :3].any():
            light += self._paint(self.stage.paints.glow, triangles, traits)[:, :3]
        return light

    def _is_there(self, triangles: Ints, samples: Ints) -> Bools:
        """Return where surfaces with cutouts or transparency are opaque."""
        alpha = self._color(triangles, self._traits(triangles, samples))[:, 3]
        paint = self.stage.paint[triangles]
        down, across = np.divmod(samples, self.camera.side)
        needed = np.where(
            self.stage.paints.is_blended[paint],
            _PATTERN[down % 4, across % 4],
            self.stage.paints.cutoffs[paint],
        )
        return alpha >= needed

    def _traits(self, triangles: Ints, samples: Ints) -> Floats:
        """Return the vertex traits (k, w) interpolated at samples, perspective-correct."""
        down, across = np.divmod(samples, self.camera.side)
        flat = weights(self.corners[triangles], across + 0.5, down + 0.5) * self.nearness[triangles]
        weight = (flat / flat.sum(axis=1, keepdims=True)).astype(np.float32)
        corners = self.stage.triangles[triangles]
        traits = self.stage.traits[corners[:, 0]] * weight[:, :1]
        traits += self.stage.traits[corners[:, 1]] * weight[:, 1:2]
        traits += self.stage.traits[corners[:, 2]] * weight[:, 2:]
        return traits

    def _normals(self, triangles: Ints, traits: Floats) -> Floats:
        """Return unit normals (k, 3) in the model's axes, on the visible side."""
        normals = turned(traits[:, NORMAL], self.yaw)
        length = np.sqrt((normals * normals).sum(axis=1))
        flat = np.flatnonzero(length < _FLAT)
        if len(flat):
            a, b, c = (self.points[self.stage.triangles[triangles[flat], k]] for k in range(3))
            normals[flat] = np.cross(b - a, c - a)
            length[flat] = np.linalg.norm(normals[flat], axis=1)
        signs = np.where(self.areas[triangles] > 0, np.float32(-1), np.float32(1))
        return normals * (signs / np.maximum(length, _TINY))[:, None]

    def _color(self, triangles: Ints, traits: Floats) -> Floats:
        """Return the linear RGBA (k, 4) of the surface itself."""
        color = self._paint(self.stage.paints.color, triangles, traits)
        return color if traits.shape[1] <= COLOR.start else color * traits[:, COLOR]

    def _paint(self, layer: Layer, triangles: Ints, traits: Floats) -> Floats:
        """Return the linear RGBA (k, 4) of a layer."""
        paint = self.stage.paint[triangles]
        color = layer.factors[paint]
        laid = np.flatnonzero(layer.textures[paint])
        if len(laid):
            which, wraps = layer.textures[paint[laid]], layer.wraps[paint[laid]]
            color[laid] *= self.textures.read(which, traits[laid, PLACE], wraps)
        return color

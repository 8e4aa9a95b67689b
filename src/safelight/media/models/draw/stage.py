"""A scene prepared for rendering: one mesh in a ball of radius 1, and a table of its paints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from safelight.media.models.arrays import Bools, Floats, Ints
from safelight.media.models.draw.textures import WRAPS
from safelight.media.models.formats.scene import (
    Material,
    Opacity,
    Part,
    Scene,
    Texture,
    TextureImage,
)

NORMAL, HEIGHT, PLACE, COLOR = slice(0, 3), 3, slice(4, 6), slice(6, 10)
"""Columns of `traits`: a unit normal or 0 on flat surfaces, y, a texture position, linear RGBA."""

_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class Layer:
    """Per paint: a factor (k, 4), the texture (k,) it multiplies, and the wrap modes (k, 2)."""

    factors: Floats
    textures: Ints
    wraps: Ints


@dataclass(frozen=True, slots=True)
class Paints:
    """The appearance of surfaces, one row per material; texture 0 is none.

    A sample is opaque if its alpha reaches the `cutoffs`; 0 lets everything pass. With
    `is_blended`, alpha is the degree of opacity.
    """

    color: Layer
    glow: Layer
    cutoffs: Floats
    is_blended: Bools
    is_double_sided: Bools

    @property
    def is_cut(self) -> Bools:
        return self.is_blended | (self.cutoffs > 0)


@dataclass(frozen=True, slots=True)
class Stage:
    """Points (n, 3) and the other vertex attributes, `traits` (n, 10, or 6 without vertex colors).

    Traits share one array because they are read together. `paint` (m,) is the material index of
    each of the `triangles` (m, 3).
    """

    points: Floats
    traits: Floats
    triangles: Ints
    paint: Ints
    paints: Paints

    @property
    def ground(self) -> float:
        """The height of the lowest point."""
        return float(self.points[:, 1].min())


def pictures_of(scene: Scene) -> list[TextureImage]:
    """Return the pictures in use, in the order of their texture numbers, which start at 1."""
    layers = [layer for each in scene.materials for layer in (each.color_texture, _glow_of(each))]
    return list(dict.fromkeys(layer.picture for layer in layers if layer))


def make_stage(scene: Scene) -> Stage:
    """Return the scene, centered and scaled to the unit ball."""
    points = np.concatenate([part.points for part in scene.parts]).astype(np.float64)
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    points /= max(float(np.abs(points).max()), _TINY)  # first, so that squares do not overflow
    points /= max(float(np.linalg.norm(points, axis=1).max()), _TINY)
    counts = [len(part.points) for part in scene.parts]
    starts = np.cumsum(counts) - counts
    number = {material: index for index, material in enumerate(scene.materials)}
    return Stage(
        points=points.astype(np.float32),
        traits=_traits(scene.parts, points[:, 1]),
        triangles=np.concatenate(
            [part.triangles + start for part, start in zip(scene.parts, starts, strict=True)]
        ),
        paint=np.repeat([number[part.material] for part in scene.parts], _sizes(scene.parts)),
        paints=_paints(scene),
    )


def _sizes(parts: Sequence[Part]) -> list[int]:
    return [len(part.triangles) for part in parts]


def _traits(parts: Sequence[Part], heights: Floats) -> Floats:
    is_colored = any(part.colors is not None for part in parts)
    traits = np.zeros((len(heights), COLOR.stop if is_colored else COLOR.start), np.float32)
    traits[:, HEIGHT] = heights
    traits[:, COLOR] = 1
    start = 0
    for part in parts:
        some = slice(start, start := start + len(part.points))
        for which, values in ((NORMAL, part.normals), (PLACE, part.uv), (COLOR, part.colors)):
            if values is not None:
                traits[some, which] = values
    return traits


def _paints(scene: Scene) -> Paints:
    number = {picture: index for index, picture in enumerate(pictures_of(scene), 1)}
    materials = scene.materials
    cutoffs = [each.cutoff if each.opacity is Opacity.MASK else 0.0 for each in materials]
    return Paints(
        color=_layer(
            [each.color for each in materials], [each.color_texture for each in materials], number
        ),
        glow=_layer(
            [(*each.emission, 1.0) for each in materials],
            [_glow_of(each) for each in materials],
            number,
        ),
        cutoffs=np.array(cutoffs, np.float32),
        is_blended=np.array([each.opacity is Opacity.BLEND for each in materials]),
        is_double_sided=np.array([each.is_double_sided for each in materials]),
    )


def _glow_of(material: Material) -> Texture | None:
    return material.emission_texture if any(material.emission) else None


def _layer(
    factors: Sequence[Sequence[float]],
    textures: Sequence[Texture | None],
    number: dict[TextureImage, int],
) -> Layer:
    wraps = [(WRAPS[each.across], WRAPS[each.down]) if each else (0, 0) for each in textures]
    return Layer(
        np.array(factors, np.float32),
        np.array([number[each.picture] if each else 0 for each in textures]),
        np.array(wraps),
    )

"""Separates the object from its background, by named mask functions.

A mask function takes a picture and returns each pixel's coverage by the object: float32 of shape
(rows, columns), 0 to 1, with the outline at 0.5. To add one, put it into `MASKS`. Another one is an
ONNX network in a file that the operator names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate.arrays import Bools, Bytes, Floats
from safelight.providers.local.inflate.background import fit_shade, to_lab
from safelight.providers.local.inflate.grabcut import part_from_background
from safelight.providers.local.inflate.images import blur, connected, filled, opened, parts
from safelight.providers.local.inflate.picture import SourcePicture
from safelight.providers.local.inflate.saliency import load_network
from safelight.providers.local.inflate.threshold import NotTwoKinds, otsu

MaskFunction: TypeAlias = Callable[[SourcePicture], Floats]

SIDE = 1024
"""The longest side of a mask, in pixels."""

_BORDER_SIDE = 512  # colors are compared at this size: less noise, a quarter of the work
_BORDER_BLUR = 1.2  # pixels
_LEARN_SIDE, _GRABCUT_SIDE = 192, 384  # colors are learned at one size and applied at the other
_SURE, _UNSURE = 0.5, 0.49
_SPECK = 0.002  # of the largest component's area: smaller ones are specks
_HOLE = 0.004  # of the object's area: smaller gaps are highlights, not holes
# A multicolored scene has larger specks and larger holes.
_SCENE_SPECK, _SCENE_HOLE = 0.05, 0.01
_WEAK = 0.6  # of the threshold: enough next to pixels above it
_SMOOTH_SPREAD = 3.0  # CIELAB units: a larger spread means several colors, or a pattern
_SMOOTH_PART = 0.8  # fraction of the border that must follow its shade
_EDGE_BLUR = 0.8


@dataclass(frozen=True, slots=True)
class Mask:
    """The object's area: `coverage` from a mask function, and the function's `name`."""

    coverage: Floats
    name: str


def find_object(picture: SourcePicture, name: str, network: Path | None = None) -> Mask:
    """Return the mask by the method `name` ("auto" chooses); raise `NoForeground` if empty.

    An unknown name is a KeyError, since the params' schema lists the same names. "onnx" is a name
    too if there is a `network`.
    """
    functions = MASKS if network is None else MASKS | {"onnx": partial(by_network, network)}
    if name == "auto":
        name = _fitting(picture, "grabcut" if network is None else "onnx")
    coverage = functions[name](picture)
    if not (coverage > _SURE).any():
        raise NoForeground
    return Mask(coverage, name)


def whole(picture: SourcePicture) -> Mask:
    """Return the mask of the visible area, or the full rectangle."""
    if picture.has_transparency:
        return find_object(picture, "alpha")
    rows, columns = picture.pixels(SIDE).shape[:2]
    return Mask(np.ones((rows, columns), np.float32), "full")


def by_alpha(picture: SourcePicture) -> Floats:
    """Select the opaque pixels, relative to the strongest alpha of the picture."""
    if not picture.has_transparency:
        # Such a channel is useless: everything would be object.
        raise NoForeground("The picture has no transparency that would show the object.")
    alpha = picture.pixels(SIDE)[..., 3].astype(np.float32) / np.float32(255)
    strongest = float(alpha.max())
    if strongest == 0:
        raise NoForeground("The picture is transparent all over.")
    if strongest <= _SURE:
        alpha /= np.float32(strongest)
    return _without_specks_in(alpha)


def by_border(picture: SourcePicture) -> Floats:
    """Select the pixels that differ from the border's color gradient."""
    lab = to_lab(_opaque(picture.pixels(_BORDER_SIDE)), _BORDER_BLUR)
    shade = fit_shade(lab)
    distance = np.linalg.norm(lab - shade.colors(lab.shape[0], lab.shape[1]), axis=-1)
    try:
        threshold = max(otsu(distance), shade.noise)
    except NotTwoKinds:
        raise NoForeground from None
    weak = max(_WEAK * threshold, shade.noise)
    found = connected(distance > threshold, distance > weak)
    return _cleaned(found, _SPECK, _HOLE)


def by_grabcut(picture: SourcePicture) -> Floats:
    """Select the pixels whose colors differ from those of a multicolored border."""
    small, large = (_opaque(picture.pixels(side)) for side in (_LEARN_SIDE, _GRABCUT_SIDE))
    return _cleaned(part_from_background(small, large) > _SURE, _SCENE_SPECK, _SCENE_HOLE)


def by_network(network: Path, picture: SourcePicture) -> Floats:
    """Select the object by an ONNX network."""
    loaded = load_network(network)
    rows, columns = picture.pixels(SIDE).shape[:2]
    rgb = _opaque(picture.pixels(max(loaded.size)))
    return _without_specks_in(loaded.ask(rgb, (rows, columns)))


MASKS: dict[str, MaskFunction] = {"alpha": by_alpha, "border": by_border, "grabcut": by_grabcut}


def _fitting(picture: SourcePicture, otherwise: str) -> str:
    """Return the name of the mask function for a picture; `otherwise` for a busy one."""
    if picture.has_transparency:
        return "alpha"
    shade = fit_shade(to_lab(_opaque(picture.pixels(_LEARN_SIDE)), _BORDER_BLUR))
    smooth = shade.spread <= _SMOOTH_SPREAD and shade.follows >= _SMOOTH_PART
    return "border" if smooth else otherwise


def _cleaned(found: Bools, speck: float, hole: float) -> Floats:
    """Return the coverage without specks and small holes, with a soft edge."""
    # If an opening leaves nothing, the thin lines are the object.
    solid = opened(found) if opened(found).any() else found
    clean = without_specks(without_small_holes(solid, hole), speck)
    return blur(clean.astype(np.float32), _EDGE_BLUR)


def _without_specks_in(coverage: Floats) -> Floats:
    kept = without_specks(coverage > _SURE, _SPECK)
    return np.where(kept, coverage, np.minimum(coverage, np.float32(_UNSURE)))


def without_specks(found: Bools, least: float) -> Bools:
    """Return `found` without components under `least` times the largest one's area."""
    labels, areas = parts(found)
    return found & (areas >= least * areas.max())[labels]


def without_small_holes(found: Bools, least: float) -> Bools:
    """Return `found` with holes filled that are under `least` times its own area."""
    gaps, areas = parts(filled(found) & ~found)
    small = (areas > 0) & (areas < least * found.sum())
    return found | small[gaps]


def _opaque(pixels: Bytes) -> Bytes:
    """Return RGB, flattened on white."""
    alpha = pixels[..., 3:].astype(np.float32) / np.float32(255)
    return (pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)

"""Makes a model from a picture, step by step: mask, shape, mesh, texture, file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from safelight import cpu
from safelight.providers.local.inflate import mask as masks
from safelight.providers.local.inflate.arrays import Floats, Ints
from safelight.providers.local.inflate.glb import Look, to_glb
from safelight.providers.local.inflate.images import blur
from safelight.providers.local.inflate.inflation import inflate
from safelight.providers.local.inflate.mask import Mask
from safelight.providers.local.inflate.mesh import Mesh, balloon, finish, plaque
from safelight.providers.local.inflate.order import Fact, Mode, Order, Params
from safelight.providers.local.inflate.picture import SourcePicture, load_picture
from safelight.providers.local.inflate.relief import relief, rim_height
from safelight.providers.local.inflate.shape import Shape, fit_shape, texture_box
from safelight.providers.local.inflate.texture import Texture, encode, make_texture, texture_places

_LARGEST = 4096  # maximum pixels of a picture's longest side
_GUESSED = "grabcut"  # the mask that only compares colors
_LOW = {
    "quality": "low",
    "next_step": "The object was told from a busy background by its colors alone. Better: a "
    "picture cut out with transparency, a mask network (SAFELIGHT_INFLATE_SALIENCY_MODEL), or "
    "a real image-to-3D model.",
}
_NOTE = "inflated from one picture, no AI model"
_LIGHTNESS = np.array([0.2126, 0.7152, 0.0722], np.float32)  # Rec. 709


@dataclass(frozen=True, slots=True)
class Sculpture:
    """A finished model and its facts."""

    mesh: Mesh
    texture: Texture
    mask: str


@dataclass(frozen=True, slots=True)
class _Body:
    """A surface in grid units, before scaling: y down, with its shape."""

    shape: Shape
    vertices: Floats
    triangles: Ints


def sculpt(order: Order) -> dict[str, Fact]:
    """Write the model and return the mesh's facts."""
    params = order.params
    cpu.report(5, "finding the object")
    # Twice the texture's size, since the object may fill only half of the picture.
    side = min(_LARGEST, max(masks.SIDE, 2 * params.texture_size))
    picture = load_picture(order.picture, side)
    made = make_sculpture(picture, params, order.saliency)
    look = Look(made.texture.color, encode(made.texture.pixels) if params.texture else None)
    order.model.write_bytes(to_glb(made.mesh, look, "object"))
    return _facts(made, params)


def make_sculpture(
    picture: SourcePicture, params: Params, saliency: Path | None = None
) -> Sculpture:
    """Return the model of the object in `picture`, possibly masked by the network in a file."""
    mask = _mask(picture, params, saliency)
    cpu.report(25, "inflating")
    body = _MODES[params.mode](picture, mask, params)
    cpu.report(55, "texturing")
    size = (mask.coverage.shape[0], mask.coverage.shape[1])
    box = texture_box(body.shape, size)
    texture = make_texture(picture, mask.coverage, box, params.texture_size)
    places = texture_places(body.shape.frame.to_pixels(body.vertices[:, :2]), size, box)
    mesh = finish(body.vertices, body.triangles, places, params.size_m)
    return Sculpture(mesh, texture, mask.name)


def _mask(picture: SourcePicture, params: Params, saliency: Path | None) -> Mask:
    if params.mode == "relief" and params.mask == "auto":
        return masks.whole(picture)
    return masks.find_object(picture, params.mask, saliency)


def _balloon(_picture: SourcePicture, mask: Mask, params: Params) -> _Body:
    shape = fit_shape(
        mask.coverage, params.smoothing, params.face_limit, lambda sheet: 2 * len(sheet.triangles)
    )
    heights = params.thickness * inflate(shape.field)
    return _Body(shape, *balloon(shape.sheet, heights))


def _plaque(picture: SourcePicture, mask: Mask, params: Params) -> _Body:
    shape = fit_shape(
        mask.coverage,
        params.smoothing,
        params.face_limit,
        lambda sheet: 2 * (len(sheet.triangles) + len(sheet.rim_edges())),
    )
    light = _lightness(picture, mask, shape)
    heights = relief(shape.field, light, params.thickness, params.smoothing)
    rim = rim_height(shape.field, params.thickness)
    return _Body(shape, *plaque(shape.sheet, heights, rim))


_MODES: dict[Mode, Callable[[SourcePicture, Mask, Params], _Body]] = {
    "inflate": _balloon,
    "relief": _plaque,
}


def _lightness(picture: SourcePicture, mask: Mask, shape: Shape) -> Floats:
    """Return the picture's brightness, 0 to 1, at each point of the shape's grid."""
    pixels = picture.pixels(masks.SIDE)[..., :3] @ (_LIGHTNESS / np.float32(255))
    smooth = blur(pixels, shape.frame.pitch / 2)
    size = (shape.field.shape[0], shape.field.shape[1])
    scale = pixels.shape[1] / mask.coverage.shape[1]  # masks may be smaller than the picture
    frame = shape.frame.scaled(scale)
    return frame.sample(smooth, size, 0.0)


def _facts(made: Sculpture, params: Params) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "triangles": len(made.mesh.triangles),
        "vertices": len(made.mesh.vertices),
        "watertight": made.mesh.is_watertight,
        "bounding_box_m": [round(side, 6) for side in made.mesh.size],
        "mask": made.mask,
        "mode": params.mode,
        "note": _NOTE,
    }
    return facts | (_LOW if made.mask == _GUESSED else {})

"""The params of `inflate`, as a JSON Schema."""

from collections.abc import Mapping
from typing import Any

from safelight.providers.local.inflate.order import Params

_USUAL = Params()

PARAMS: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "mode": {
            "title": "Mode",
            "description": "inflate blows the object up like a balloon, the same on both sides; "
            "relief raises the picture's bright parts from a flat plaque.",
            "type": "string",
            "enum": ["inflate", "relief"],
            "default": _USUAL.mode,
        },
        "thickness": {
            "title": "Thickness",
            "description": "How deep the model is; 1 makes a disc into a ball.",
            "type": "number",
            "minimum": 0.1,
            "maximum": 2,
            "default": _USUAL.thickness,
        },
        "smoothing": {
            "title": "Smoothing",
            "description": "How far small corners and bumps are rounded off; 0 keeps them all.",
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": _USUAL.smoothing,
        },
        "face_limit": {
            "title": "Most triangles",
            "description": "The model never has more triangles than this.",
            "type": "integer",
            "minimum": 500,
            "maximum": 200_000,
            "default": _USUAL.face_limit,
        },
        "texture": {
            "title": "Texture",
            "description": "Whether the picture is put on the model; otherwise it has one color.",
            "type": "boolean",
            "default": _USUAL.texture,
        },
        "texture_size": {
            "title": "Texture size",
            "description": "The longest side of the texture, in pixels; never more than "
            "the object has in the picture.",
            "type": "integer",
            "minimum": 256,
            "maximum": 4096,
            "default": _USUAL.texture_size,
        },
        "size_m": {
            "title": "Size in meters",
            "description": "The model's largest side.",
            "type": "number",
            "minimum": 0.001,
            "maximum": 1000,
            "default": _USUAL.size_m,
        },
        "mask": {
            "title": "Mask",
            "description": "How the object is separated from the background: by its transparency "
            "(alpha), by its difference from a plain or evenly shaded background (border), or by "
            "learning the colors of a multicolored background (grabcut); auto chooses the method.",
            "type": "string",
            "enum": ["auto", "alpha", "border", "grabcut"],
            "default": _USUAL.mask,
        },
    },
}


def with_network(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the params if the operator has configured a mask network."""
    mask = params["properties"]["mask"]
    more = {
        "description": f"{mask['description']} onnx asks a neural network, which auto prefers for "
        "backgrounds that are not plain.",
        "enum": [*mask["enum"], "onnx"],
    }
    return {**params, "properties": {**params["properties"], "mask": mask | more}}

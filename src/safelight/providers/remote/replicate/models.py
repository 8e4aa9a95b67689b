"""The Replicate models offered by default, as of when this was written."""

from collections.abc import Mapping
from typing import Any

from safelight.json_object import JsonObject
from safelight.providers.provider import Kind
from safelight.providers.remote.replicate.config import ReplicateModel
from safelight.providers.remote.replicate.schema import DIALECT

_RATIOS = ["1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"]
_PROMPT: Mapping[str, Any] = {"type": "string", "title": "Prompt"}
_SEED: Mapping[str, Any] = {
    "type": "integer",
    "title": "Seed",
    "description": "Same prompt and seed, same picture.",
}
_SHAPE: Mapping[str, Any] = {
    "type": "string",
    "enum": _RATIOS,
    "default": "1:1",
    "title": "Aspect ratio",
}
_PICTURE: Mapping[str, Any] = {"type": "string", "format": "uri", "title": "Picture"}


def _schema(required: list[str], properties: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _whole(title: str, least: int, most: int, usual: int, description: str = "") -> JsonObject:
    rule = {"type": "integer", "minimum": least, "maximum": most, "default": usual, "title": title}
    return rule | ({"description": description} if description else {})


def _number(title: str, least: float, most: float, usual: float) -> JsonObject:
    return {"type": "number", "minimum": least, "maximum": most, "default": usual, "title": title}


def _choice(title: str, values: list[str], usual: str) -> JsonObject:
    return {"type": "string", "enum": values, "default": usual, "title": title}


_FLUX: Mapping[str, Any] = {
    "prompt": _PROMPT,
    "aspect_ratio": _SHAPE,
    "num_outputs": _whole("Pictures", 1, 4, 1, "How many pictures to make."),
    "seed": _SEED,
    "output_format": _choice("Format", ["webp", "jpg", "png"], "webp"),
    "output_quality": _whole("Quality", 0, 100, 80, "Quality of a JPEG or WebP, in percent."),
    "megapixels": _choice("Megapixels", ["1", "0.25"], "1"),
}
_SCHNELL = _schema(["prompt"], {**_FLUX, "num_inference_steps": _whole("Steps", 1, 4, 4)})
_DEV = _schema(
    ["prompt"],
    {
        **_FLUX,
        "image": _PICTURE,
        "prompt_strength": _number("Prompt strength", 0, 1, 0.8),
        "num_inference_steps": _whole("Steps", 1, 50, 28),
        "guidance": _number("Guidance", 0, 10, 3),
    },
)
_KONTEXT = _schema(
    ["prompt"],
    {
        "prompt": _PROMPT,
        "input_image": _PICTURE,
        "aspect_ratio": {
            **_SHAPE,
            "enum": ["match_input_image", *_RATIOS],
            "default": "match_input_image",
        },
        "seed": _SEED,
        "output_format": _choice("Format", ["jpg", "png"], "png"),
        "prompt_upsampling": {
            "type": "boolean",
            "default": False,
            "title": "Rewrite the prompt",
        },
    },
)
_TRELLIS = _schema(
    ["images"],
    {
        "images": {"type": "array", "items": _PICTURE, "minItems": 1},
        "seed": _SEED,
        "texture_size": _whole("Texture size", 512, 2048, 1024),
        "mesh_simplify": _number("Simplification", 0.9, 0.98, 0.95),
        "ss_sampling_steps": _whole("Steps for the shape", 1, 50, 12),
        "slat_sampling_steps": _whole("Steps for the surface", 1, 50, 12),
        "generate_model": {"type": "boolean"},
        "generate_color": {"type": "boolean"},
        "randomize_seed": {"type": "boolean"},
    },
)
_TRELLIS_VERSION = "e8f6c45206993f297372f5436b90350817bd9b4a0d52d2a76df50c1c8afa2b3c"

MODELS = (
    ReplicateModel(
        "black-forest-labs/flux-schnell",
        "FLUX schnell",
        "Fast pictures from a prompt.",
        input_schema=_SCHNELL,
    ),
    ReplicateModel(
        "black-forest-labs/flux-dev",
        "FLUX dev",
        "Pictures from a prompt, with or without one to start from.",
        input_schema=_DEV,
    ),
    ReplicateModel(
        "black-forest-labs/flux-kontext-pro",
        "FLUX Kontext pro",
        "Changes a picture as the prompt says.",
        input_schema=_KONTEXT,
        kinds=frozenset({Kind.IMAGE_TO_IMAGE}),
    ),
    ReplicateModel(
        f"firtoz/trellis:{_TRELLIS_VERSION}",
        "TRELLIS",
        "A textured 3D model from one or more pictures of a thing.",
        input_schema=_TRELLIS,
        # By default it makes a video and no model.
        fixed={"generate_model": True, "generate_color": False, "randomize_seed": False},
        kinds=frozenset({Kind.IMAGE_TO_3D}),
    ),
)

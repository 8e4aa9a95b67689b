"""The fal models offered by default, as of when this was written."""

from collections.abc import Mapping
from typing import Any

from safelight.providers.provider import Kind, Role
from safelight.providers.remote.fal.config import FalModel

Rule = Mapping[str, Any]


def _whole(title: str, text: str = "", **bounds: int) -> Rule:
    return {"type": "integer", "title": title, "description": text, **bounds}


def _choice(title: str, *values: str, usual: str | None = None, text: str = "") -> Rule:
    rule = {"type": "string", "enum": list(values), "title": title, "description": text}
    return rule if usual is None else rule | {"default": usual}


def _switch(title: str, text: str = "", **usual: bool) -> Rule:
    return {"type": "boolean", "title": title, "description": text, **usual}


_SEED = _whole("Seed", "Same prompt and seed, same result.", minimum=0, maximum=2**31 - 1)
_PICTURES: Mapping[str, Rule] = {
    "n": _whole("Pictures", "How many pictures to make.", minimum=1, maximum=4, default=1),
    "size": {
        "type": "string",
        "title": "Size",
        "description": "WIDTHxHEIGHT in pixels, or one of fal's names such as landscape_4_3.",
        "pattern": "^([1-9][0-9]{1,3}x[1-9][0-9]{1,3}|[a-z][a-z0-9_]{1,31})$",
    },
    "seed": _SEED,
    "format": _choice("Format", "png", "jpeg", usual="png"),
    "num_inference_steps": _whole("Steps", "More take longer.", minimum=1, maximum=50),
    "enable_safety_checker": _switch("Safety checker", "Whether fal moderates the pictures."),
}
_GUIDED: Mapping[str, Rule] = {
    **_PICTURES,
    "guidance_scale": {
        "type": "number",
        "minimum": 1,
        "maximum": 20,
        "title": "Guidance",
        "description": "How closely the prompt is followed.",
    },
}
_STRENGTH: Rule = {
    "type": "number",
    "minimum": 0.01,
    "maximum": 1,
    "title": "Strength",
    "description": "How far the picture may change.",
}
_NAMES = {"n": "num_images", "format": "output_format", "size": "image_size"}

_FACES = _whole(
    "Faces", "Maximum number of faces; fal decides by default.", minimum=48, maximum=500_000
)
_TRIPO: Mapping[str, Rule] = {
    "texture": _choice("Texture", "no", "standard", "HD", usual="standard"),
    "pbr": _switch("PBR", "Adds metallic and roughness maps; needs a texture.", default=True),
    "face_limit": _FACES,
    "seed": _SEED,
    "texture_seed": _whole("Texture seed", minimum=0, maximum=2**31 - 1),
    "auto_size": _switch("Real size", "Scale to real-world size, in meters."),
    "texture_alignment": _choice("Texture follows", "original_image", "geometry"),
    "orientation": _choice("Orientation", "default", "align_image"),
    "quad": _switch("Quads", "Quad faces. The model is then an FBX, and costs more."),
}
_H31: Mapping[str, Rule] = {
    "texture": _switch("Texture", default=True),
    "pbr": _switch("PBR", "Adds metallic and roughness maps.", default=True),
    "texture_quality": _choice("Texture quality", "standard", "detailed"),
    "geometry_quality": _choice("Geometry quality", "standard", "detailed"),
    "face_limit": _FACES,
    "seed": _SEED,
    "auto_size": _switch("Real size", "Scale to real-world size, in meters."),
}
_SEEDS = {"seed": "model_seed"}
_VIEWS = {
    Role.FRONT: "front_image_url",
    Role.LEFT: "left_image_url",
    Role.BACK: "back_image_url",
    Role.RIGHT: "right_image_url",
}
_TO_3D = frozenset({Kind.IMAGE_TO_3D})

MODELS = (
    FalModel(
        "fal-ai/flux/schnell",
        "FLUX schnell",
        "Fast pictures from a prompt.",
        params=_PICTURES,
        theirs=_NAMES,
    ),
    FalModel(
        "fal-ai/flux/dev",
        "FLUX dev",
        "Pictures from a prompt.",
        params=_GUIDED,
        theirs=_NAMES,
    ),
    FalModel(
        "fal-ai/flux/dev/image-to-image",
        "FLUX dev, from a picture",
        "Changes a picture as the prompt says.",
        kinds=frozenset({Kind.IMAGE_TO_IMAGE}),
        params={name: rule for name, rule in _GUIDED.items() if name != "size"}
        | {"strength": _STRENGTH},
        theirs=_NAMES,
        pictures={Role.REFERENCE: "image_url"},
    ),
    FalModel(
        "tripo3d/tripo/v2.5/image-to-3d",
        "Tripo 2.5",
        "A textured 3D model from a picture.",
        kinds=_TO_3D,
        params=_TRIPO,
        pictures={Role.REFERENCE: "image_url"},
        prompt="",
    ),
    FalModel(
        "tripo3d/tripo/v2.5/multiview-to-3d",
        "Tripo 2.5, several views",
        "A textured 3D model from pictures of its front, left, back and right.",
        kinds=_TO_3D,
        params=_TRIPO,
        pictures=_VIEWS,
        prompt="",
    ),
    FalModel(
        "tripo3d/h3.1/image-to-3d",
        "Tripo H3.1",
        "A detailed 3D model from a picture.",
        kinds=_TO_3D,
        params=_H31,
        theirs=_SEEDS,
        pictures={Role.REFERENCE: "image_url"},
        prompt="",
    ),
    FalModel(
        "tripo3d/h3.1/multiview-to-3d",
        "Tripo H3.1, several views",
        "A detailed 3D model from pictures of its front, left, back and right.",
        kinds=_TO_3D,
        params=_H31,
        theirs=_SEEDS,
        pictures=_VIEWS,
        prompt="",
    ),
)

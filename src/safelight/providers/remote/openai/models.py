"""OpenAI's image models and the JSON Schema of their params."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from safelight.json_object import JsonObject
from safelight.providers.price import Price
from safelight.providers.provider import Kind, Lane, Model, Role
from safelight.providers.remote.openai.harvest import MOST_ROUGH

MAX_REFERENCES = 16

_FIXED_SIZES = ["auto", "1024x1024", "1536x1024", "1024x1536"]
_SIZE: Mapping[str, Any] = {"type": "string", "title": "Size"}
_COMMON: Mapping[str, Any] = {
    "n": {
        "type": "integer",
        "minimum": 1,
        "maximum": 10,
        "default": 1,
        "title": "Pictures",
        "description": "How many pictures to make.",
    },
    "format": {
        "type": "string",
        "enum": ["png", "jpeg", "webp"],
        "title": "Format",
        "description": "File format of the picture; PNG by default.",
    },
    "partial_images": {
        "type": "integer",
        "minimum": 0,
        "maximum": MOST_ROUGH,
        "title": "Partial pictures",
        "description": "How many previews to show while a picture is made; each is billed.",
    },
    "output_compression": {
        "type": "integer",
        "minimum": 0,
        "maximum": 100,
        "title": "Compression",
        "description": "Quality of a JPEG or WebP, in percent.",
    },
    "background": {
        "type": "string",
        "enum": ["auto", "transparent", "opaque"],
        "title": "Background",
        "description": "Transparent needs PNG or WebP.",
    },
    "moderation": {
        "type": "string",
        "enum": ["auto", "low"],
        "title": "Moderation",
        "description": "How strict the content moderation is.",
    },
    "input_fidelity": {
        "type": "string",
        "enum": ["low", "high"],
        "title": "Fidelity to the reference",
        "description": "How closely faces and details of a reference picture are preserved.",
    },
}
_FIXED: Mapping[str, Any] = {
    **_SIZE,
    "enum": _FIXED_SIZES,
    "description": "WIDTHxHEIGHT in pixels, or auto.",
}
_FREE: Mapping[str, Any] = {
    **_SIZE,
    "pattern": "^(auto|[1-9][0-9]{2,3}x[1-9][0-9]{2,3})$",
    "description": "WIDTHxHEIGHT in pixels, or auto. Both sides divisible by 16, neither more "
    "than three times the other, at most 3840x2160 or 2160x3840.",
}
_QUALITY: Mapping[str, Any] = {
    "type": "string",
    "enum": ["auto", "low", "medium", "high"],
    "title": "Quality",
    "description": "Higher looks better, takes longer and costs more.",
}
_ANY_WORD: Mapping[str, Any] = {"type": "string", "maxLength": 64}
_ANY: Mapping[str, Any] = {
    **_COMMON,
    "size": {
        **_SIZE,
        **_ANY_WORD,
        "description": "Such as 1024x1024; the server defines the choices.",
    },
    "quality": {**_ANY_WORD, "title": "Quality", "description": "In the server's own words."},
    "style": {**_ANY_WORD, "title": "Style", "description": "In the server's own words."},
    "response_format": {
        "type": "string",
        "enum": ["url", "b64_json"],
        "title": "Response format",
        "description": "Whether the server sends pictures or their URLs.",
    },
}


def _schema(properties: Mapping[str, Any]) -> JsonObject:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


FIXED_SIZES = _schema({**_COMMON, "size": _FIXED, "quality": _QUALITY})
FREE_SIZES = _schema({**_COMMON, "size": _FREE, "quality": _QUALITY})
ANYTHING = _schema(_ANY)


def image_model(
    vendor_id: str,
    title: str,
    description: str = "Pictures from a prompt, with or without references.",
    *,
    provider: str = "openai",
    params_schema: Mapping[str, Any] | None = None,
    price: Price | None = None,
    timeout: timedelta = timedelta(seconds=600),
) -> Model:
    """Return a model by its vendor id; params of an unknown model are validated by the server.

    Every param is sent as is, including schema defaults.
    """
    return Model(
        id=f"{provider}/{vendor_id}",
        provider=provider,
        title=title,
        description=description,
        kinds=frozenset({Kind.TEXT_TO_IMAGE, Kind.IMAGE_TO_IMAGE}),
        lane=Lane.REMOTE,
        params_schema=params_schema or ANYTHING,
        timeout=timeout,
        max_inputs=MAX_REFERENCES,
        roles=frozenset({Role.REFERENCE, Role.MASK}),
        price=price,
        vendor_id=vendor_id,
    )


MODELS = (
    image_model("gpt-image-2", "GPT Image 2", params_schema=FREE_SIZES),
    image_model("gpt-image-1.5", "GPT Image 1.5", params_schema=FIXED_SIZES),
    image_model(
        "gpt-image-1-mini",
        "GPT Image 1 mini",
        "Cheaper pictures from a prompt, with or without references.",
        params_schema=FIXED_SIZES,
    ),
)

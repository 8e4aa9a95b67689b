"""JSON Schema of a model's params, for forms and validation."""

from safelight.json_object import JsonObject
from safelight.providers.local.diffusers.models import LocalModel, Task

_OWN = ""  # the model's own scheduler, or no LoRA

_SEED: JsonObject = {
    "type": "integer",
    "minimum": 0,
    "maximum": 2**32 - 1,
    "title": "Seed",
    "description": "Same seed and params, same picture. Each further picture adds one.",
}
_FORMAT: JsonObject = {
    "type": "string",
    "enum": ["png", "jpeg", "webp"],
    "default": "png",
    "title": "Format",
    "description": "File format of the picture.",
}
_STRENGTH: JsonObject = {
    "type": "number",
    "minimum": 0,
    "maximum": 1,
    "title": "Strength",
    "description": "How far the result may depart from the input picture: 0.6 by default, and 1 "
    "with a mask.",
}
_NEGATIVE: JsonObject = {
    "type": "string",
    "maxLength": 4000,
    "title": "Negative prompt",
    "description": "What the picture should not show.",
}


def params_schema(model: LocalModel) -> JsonObject:
    properties = {
        "n": _whole(model.max_pictures, 1, "Pictures", "How many, each from its own seed."),
        "size": _size(model),
        "steps": _whole(model.max_steps, model.steps, "Steps", "More take longer and show more."),
        "guidance": {
            "type": "number",
            "minimum": 0,
            "maximum": 30,
            "default": model.guidance,
            "title": "Guidance",
            "description": "How closely the picture follows the prompt.",
        },
        "seed": _SEED,
        "format": _FORMAT,
    }
    if model.takes_negative:
        properties["negative_prompt"] = _NEGATIVE
    if model.tasks & {Task.IMAGE, Task.INPAINT}:
        properties["strength"] = _STRENGTH
    if model.schedulers:
        names = [*dict.fromkeys((_OWN, *model.schedulers))]
        properties["scheduler"] = _choice(
            names, model.scheduler, "Scheduler", "How noise is removed; empty: the model's own."
        )
    if model.loras:
        names = [_OWN, *(lora.name for lora in model.loras)]
        properties["lora"] = _choice(names, _OWN, "LoRA", "A change to the model; empty: none.")
        properties["lora_weight"] = {
            "type": "number",
            "minimum": -2,
            "maximum": 2,
            "title": "LoRA weight",
            "description": "How strongly it acts; the operator's default if not set.",
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _size(model: LocalModel) -> JsonObject:
    width, height = model.size
    return {
        "type": "string",
        "pattern": r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$",
        "title": "Size",
        "description": f"WIDTHxHEIGHT in pixels, each divisible by {model.multiple}, at most "
        f"{model.max_pixels} pixels in all. Defaults to the input picture's size, "
        f"or {width}x{height}.",
    }


def _whole(most: int, usual: int, title: str, description: str) -> JsonObject:
    return {
        "type": "integer",
        "minimum": 1,
        "maximum": most,
        "default": usual,
        "title": title,
        "description": description,
    }


def _choice(names: list[str], usual: str, title: str, description: str) -> JsonObject:
    return {
        "type": "string",
        "enum": names,
        "default": usual,
        "title": title,
        "description": description,
    }

"""Translates SageMaker requests to our container, and its responses to the plug."""

import base64
import binascii
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import orjson

from safelight.cpu import OutOfResources
from safelight.errors import SafelightError
from safelight.json_object import JsonObject
from safelight.media.sniff import HEAD_BYTES, sniff
from safelight.providers.errors import ProviderBadInput, ProviderRefused
from safelight.providers.local.diffusers.models import LocalModel
from safelight.providers.local.diffusers.schema import params_schema
from safelight.providers.provider import Done, InputFile, Kind, ProviderRequest, Role

_MOST_PICTURES = 2
_MAX_PROMPT = 10_000
_SEED_BITS = 32
_OURS = {
    "num_images_per_prompt": "n",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
}
_NO_PARAMS = frozenset({"prompt", "images", "image_roles", "width", "height"})


def read_request(body: bytes, model: LocalModel, folder: Path) -> ProviderRequest:
    """Parse the request and write its pictures to `folder`, or raise `ProviderBadInput`."""
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ProviderBadInput("The request is not JSON.") from None
    if not isinstance(document, dict):
        raise ProviderBadInput("The request must be an object.")
    fields = cast("JsonObject", document)
    prompt: object = fields.get("prompt")
    if not isinstance(prompt, str) or not prompt or len(prompt) > _MAX_PROMPT:
        raise ProviderBadInput(f"The prompt must be a text of 1 to {_MAX_PROMPT} characters.")
    inputs = _inputs(fields, folder)
    kind = Kind.IMAGE_TO_IMAGE if inputs else Kind.TEXT_TO_IMAGE
    params = _params(fields, model, has_picture=bool(inputs))
    return ProviderRequest(kind, model.id, prompt, params, inputs, folder)


def write_answer(done: Done, model: LocalModel) -> bytes:
    """Return the response body; reads the pictures, so call it in a thread."""
    images = [
        {
            "base64": base64.b64encode(made.path.read_bytes()).decode(),
            "seed": made.facts["seed"],
            "facts": dict(made.facts),
        }
        for made in done.outputs
    ]
    return orjson.dumps(
        {
            "images": images,
            "timings": dict(done.facts),
            "model": model.id,
            "model_version": model.version,
        }
    )


def write_error(error: SafelightError) -> tuple[int, bytes]:
    """Return the status and body of an error, with codes that the plug understands."""
    told: JsonObject = {"code": _code(error), "message": error.detail}
    if isinstance(error, ProviderRefused):
        told["categories"] = error.extra.get("categories", [])
    status = 400 if told["code"] in ("bad_input", "content_refused") else 500
    return status, orjson.dumps({"error": told})


def _code(error: SafelightError) -> str:
    if isinstance(error, ProviderBadInput):
        return "bad_input"
    if isinstance(error, ProviderRefused):
        return "content_refused"
    out_of_memory = isinstance(error, OutOfResources) or (
        error.extra.get("reason") == "out_of_memory"
    )
    return "out_of_memory" if out_of_memory else "failed"


def _params(fields: Mapping[str, Any], model: LocalModel, *, has_picture: bool) -> JsonObject:
    """Return the complete params under our names, or raise `ProviderBadInput`."""
    given = {
        _OURS.get(name, name): value for name, value in fields.items() if name not in _NO_PARAMS
    }
    given = {name: value for name, value in given.items() if value is not None}
    if not given.get("negative_prompt"):
        given.pop("negative_prompt", None)
    if not has_picture:
        given.pop("strength", None)
    if "width" in fields or "height" in fields:
        width, height = model.size
        given["size"] = f"{fields.get('width', width)}x{fields.get('height', height)}"
    schema = params_schema(model)
    problem = next(jsonschema_rs.validator_for(schema).iter_errors(given), None)
    if problem is not None:
        place = ".".join(str(part) for part in problem.instance_path)
        raise ProviderBadInput(f"{place}: {problem.message}"[:500] if place else problem.message)
    usual = {
        name: rule["default"] for name, rule in schema["properties"].items() if "default" in rule
    }
    return {"seed": secrets.randbits(_SEED_BITS), **usual, **given}


def _inputs(fields: Mapping[str, Any], folder: Path) -> tuple[InputFile, ...]:
    images = _list(fields, "images")
    roles = _list(fields, "image_roles") or [Role.REFERENCE.value] * len(images)
    if len(images) > _MOST_PICTURES or len(roles) != len(images):
        raise ProviderBadInput("At most one picture and one mask are allowed, each with its role.")
    return tuple(
        _input(image, role, folder / f"input-{place}")
        for place, (image, role) in enumerate(zip(images, roles, strict=True))
    )


def _list(fields: Mapping[str, Any], name: str) -> list[object]:
    found: object = fields.get(name) or []
    if not isinstance(found, list):
        raise ProviderBadInput(f"{name} must be a list.")
    return cast("list[object]", found)


def _input(image: object, role: object, path: Path) -> InputFile:
    if not isinstance(image, str) or role not in (Role.REFERENCE, Role.MASK):
        raise ProviderBadInput("A picture must be base64, and either a reference or a mask.")
    try:
        data = base64.b64decode(image, validate=True)
    except binascii.Error:
        raise ProviderBadInput("A picture must be base64.") from None
    path.write_bytes(data)
    return InputFile(path, sniff(data[:HEAD_BYTES]) or "unknown", role=Role(str(role)))

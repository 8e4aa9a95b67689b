"""Builds the JSON request that endpoints read: prompt, params, and pictures in base64."""

import base64
from pathlib import Path

import orjson

from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderBadInput
from safelight.providers.provider import ProviderRequest, Role

_MAX_PICTURES = 100 * 2**20  # SageMaker takes 1 GB, but the body is held in memory


def write_order(request: ProviderRequest) -> bytes:
    """Return the request body; reads the pictures, so call it in a thread."""
    order: JsonObject = {**request.params, "prompt": request.prompt}
    if request.inputs:
        paths = [source.path for source in request.inputs]
        if sum(path.stat().st_size for path in paths) > _MAX_PICTURES:
            raise ProviderBadInput(f"The pictures have more than {_MAX_PICTURES} bytes together.")
        order["images"] = [_base64(path) for path in paths]
        if any(source.role is not Role.REFERENCE for source in request.inputs):
            order["image_roles"] = [source.role.value for source in request.inputs]
    return orjson.dumps(order)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()

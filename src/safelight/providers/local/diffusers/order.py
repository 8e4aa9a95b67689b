"""Builds the GPU order of a job and rejects what the model cannot do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safelight.providers.errors import ProviderBadInput
from safelight.providers.local.diffusers.messages import LoraFile, Order, Weights
from safelight.providers.local.diffusers.models import LocalModel, Task
from safelight.providers.provider import InputFile, ProviderRequest, Role

_SIZE = re.compile(r"([0-9]{2,5})x([0-9]{2,5})", re.ASCII)
_MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
_MIN_SIDE = 64
_STRENGTH = 0.6
_STRENGTH_MASKED = 1.0


def order_of(request: ProviderRequest, model: LocalModel) -> Order:
    """Return the order, or raise `ProviderBadInput`."""
    params = request.params
    picture, mask = _inputs(request.inputs)
    _check_task(model, picture, mask)
    strength = params.get("strength", _STRENGTH_MASKED if mask else _STRENGTH)
    if picture and int(params["steps"] * strength) < 1:
        raise ProviderBadInput("Strength times steps must be at least 1, or nothing is drawn.")
    return Order(
        weights=weights_of(model),
        prompt=request.prompt,
        negative_prompt=params.get("negative_prompt", ""),
        count=params["n"],
        size=_size(params, model, picture),
        multiple=model.multiple,
        max_pixels=model.max_pixels,
        seed=params["seed"],
        steps=params["steps"],
        guidance=params["guidance"],
        strength=strength,
        scheduler=params.get("scheduler", model.scheduler),
        format=params["format"],
        folder=request.scratch,
        lora=_lora(params, model),
        picture=picture,
        mask=mask,
    )


def weights_of(model: LocalModel) -> Weights:
    return Weights(
        id=model.id,
        source=str(model.source),
        is_folder=isinstance(model.source, Path),
        revision=model.revision,
        variant=model.variant,
        dtype=model.dtype.value,
        offload=model.offload.value,
    )


def _inputs(inputs: tuple[InputFile, ...]) -> tuple[Path | None, Path | None]:
    masks = [file.path for file in inputs if file.role is Role.MASK]
    pictures = [file.path for file in inputs if file.role is not Role.MASK]
    if len(pictures) > 1 or len(masks) > len(pictures):
        raise ProviderBadInput("This model takes one picture and one mask for it.")
    for file in inputs:
        if file.media_type not in _MEDIA_TYPES:
            raise ProviderBadInput(f"A picture must be PNG, JPEG or WebP, not {file.media_type}.")
    return (pictures[0] if pictures else None), (masks[0] if masks else None)


def _check_task(model: LocalModel, picture: Path | None, mask: Path | None) -> None:
    task = Task.INPAINT if mask else Task.IMAGE if picture else Task.TEXT
    if task not in model.tasks:
        raise ProviderBadInput(f"The model {model.id} does not do {task.value}.")


def _size(
    params: Mapping[str, Any], model: LocalModel, picture: Path | None
) -> tuple[int, int] | None:
    """Return width and height; None is the input picture's own size."""
    if "size" not in params:
        return None if picture else model.size
    found = _SIZE.fullmatch(params["size"])
    if found is None:
        raise ProviderBadInput("The size must be WIDTHxHEIGHT, in pixels.")
    width, height = int(found[1]), int(found[2])
    if width % model.multiple or height % model.multiple:
        raise ProviderBadInput(f"Width and height must be divisible by {model.multiple}.")
    if min(width, height) < _MIN_SIDE or width * height > model.max_pixels:
        raise ProviderBadInput(
            f"Each side needs at least {_MIN_SIDE} pixels; at most {model.max_pixels} in all."
        )
    return width, height


def _lora(params: Mapping[str, Any], model: LocalModel) -> LoraFile | None:
    name = params.get("lora", "")
    if not name:
        return None
    lora = model.lora(name)
    if lora is None:
        raise ProviderBadInput(f"The model {model.id} has no LoRA {name!r}.")
    return LoraFile(lora.name, lora.file, params.get("lora_weight", lora.weight))

"""The built-in `sketch` provider: rule-based pictures from prompts, without an AI model."""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from safelight.cpu import CpuPool, Limits
from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderBadInput, ProviderRejected
from safelight.providers.local.sketch.order import NOTE, Drawn, Order
from safelight.providers.price import FREE
from safelight.providers.provider import (
    AttemptHandle,
    Done,
    Kind,
    Lane,
    MediaFile,
    Model,
    NoCallbacks,
    Pending,
    ProviderRequest,
)

_MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_MIN_SIDE = 64
_MAX_SIDE = 2048
_AREA = 1024 * 1024
_LIMITS = Limits(cpu_s=50, wall_s=60)

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "n": {
            "type": "integer",
            "minimum": 1,
            "maximum": 8,
            "default": 1,
            "title": "Pictures",
            "description": "How many pictures to make, each from its own seed.",
        },
        "size": {
            "type": "string",
            "pattern": r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$",
            "default": "1024x1024",
            "title": "Size",
            "description": f"WIDTHxHEIGHT in pixels, each {_MIN_SIDE} to {_MAX_SIDE}.",
        },
        "aspect_ratio": {
            "type": "string",
            "pattern": r"^[1-9][0-9]?:[1-9][0-9]?$",
            "title": "Aspect ratio",
            "description": "Such as 16:9, at about one megapixel; overrides the size.",
        },
        "seed": {
            "type": "integer",
            "minimum": 0,
            "maximum": 2**32 - 1,
            "title": "Seed",
            "description": "Same prompt and seed, same picture.",
        },
        "format": {
            "type": "string",
            "enum": list(_MEDIA_TYPES),
            "default": "png",
            "title": "Format",
            "description": "File format of the picture.",
        },
        "negative_prompt": {
            "type": "string",
            "maxLength": 1000,
            "title": "Leave out",
            "description": "Things that must not be drawn.",
        },
        "strength": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.6,
            "title": "Strength",
            "description": "With a reference picture: 0 keeps it, 1 uses only its colors.",
        },
    },
}


class SketchProvider(NoCallbacks):
    """Composes flat illustrations of Fluent Emoji icons; same request, same bytes."""

    name = "sketch"

    def __init__(self, pool: CpuPool) -> None:
        self._pool = pool

    def capabilities(self) -> tuple[Model, ...]:
        return (
            Model(
                id="sketch",
                provider=self.name,
                title="Sketch",
                description="Composes a flat illustration by rules, from icons. No AI model.",
                kinds=frozenset({Kind.TEXT_TO_IMAGE, Kind.IMAGE_TO_IMAGE}),
                lane=Lane.LOCAL,
                params_schema=_SCHEMA,
                timeout=timedelta(seconds=60),
                repeatable=True,
                max_inputs=4,
                price=FREE,
            ),
        )

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        order = _order(request)
        drawn = await self._pool.run(
            _draw,
            order,
            reads=order.references,
            writes=[order.folder],
            limits=_LIMITS,
            report=attempt.report,
        )
        media_type = _MEDIA_TYPES[request.params["format"]]
        outputs = tuple(
            MediaFile(picture.path, media_type, facts=_facts(picture)) for picture in drawn
        )
        return Done(outputs)

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        raise ProviderRejected("A sketch never waits, so there is nothing to check.")

    async def cancel(self, ticket: str) -> None:
        """Do nothing: a canceled `start` ends its own child."""


def _draw(order: Order) -> list[Drawn]:
    from safelight.providers.local.sketch.drawing import draw_all  # noqa: PLC0415  only in children

    return draw_all(order)


def _order(request: ProviderRequest) -> Order:
    params = request.params
    width, height = _size(params)
    return Order(
        prompt=request.prompt,
        negative_prompt=params.get("negative_prompt", ""),
        width=width,
        height=height,
        seed=params["seed"],
        count=params["n"],
        format=params["format"],
        strength=params["strength"],
        references=tuple(source.path for source in request.inputs),
        folder=request.scratch,
    )


def _size(params: Mapping[str, Any]) -> tuple[int, int]:
    """Return width and height in pixels; an aspect ratio gets about one megapixel."""
    if ratio := params.get("aspect_ratio"):
        across, down = (int(part) for part in ratio.split(":"))
        width = math.sqrt(_AREA * across / down)
        size = (_even(width), _even(width * down / across))
    else:
        found = re.fullmatch(r"(\d+)x(\d+)", params["size"])
        size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in size):
        raise ProviderBadInput(f"Each side must have {_MIN_SIDE} to {_MAX_SIDE} pixels.")
    return size


def _even(value: float) -> int:
    return round(value / 8) * 8


def _facts(picture: Drawn) -> JsonObject:
    return {
        "seed": picture.seed,
        "note": NOTE,
        "recognized": list(picture.recognized),
        "unrecognized": list(picture.unrecognized),
        "scene": picture.scene,
    }

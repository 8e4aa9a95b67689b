"""Makes the pictures of one order, one after the other, step by step."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# These packages are only in the extra `diffusers`, so their types are unknown.

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from PIL import Image

from safelight.providers.local.diffusers.loading import Warm
from safelight.providers.local.diffusers.messages import MadePicture, Order
from safelight.providers.local.diffusers.models import Task
from safelight.providers.local.diffusers.pictures import (
    fitted,
    read_mask,
    read_picture,
    size_of,
    write_picture,
)

_SEEDS = 2**32
_DRAWN = 99.0  # percent, before the file is written


class Canceled(Exception):
    """The server canceled the work."""


class Refused(Exception):
    """The model's own safety checker hid the picture."""

    code: ClassVar[Literal["content_refused"]] = "content_refused"


@dataclass(frozen=True, slots=True)
class _Start:
    """The shared starting point of an order's pictures."""

    size: tuple[int, int]
    picture: Image.Image | None
    mask: Image.Image | None

    @property
    def task(self) -> Task:
        if self.mask is not None:
            return Task.INPAINT
        return Task.IMAGE if self.picture is not None else Task.TEXT


class Painting:
    """One running order."""

    def __init__(
        self,
        order: Order,
        warm: Warm,
        how_far: Callable[[float, str], None],
        is_canceled: Callable[[], bool],
    ) -> None:
        self.scheduler = ""
        self._order = order
        self._warm = warm
        self._how_far = how_far
        self._is_canceled = is_canceled

    def paint(self) -> tuple[MadePicture, ...]:
        """Return all pictures, or raise `Canceled`."""
        start = _start_of(self._order)
        try:
            return tuple(self._one(place, start) for place in range(self._order.count))
        finally:
            self._warm.rest()

    def _one(self, place: int, start: _Start) -> MadePicture:
        self._stop_if_canceled()
        order = self._order
        pipe, self.scheduler = self._warm.pipe(start.task, order.scheduler)
        seed = (order.seed + place) % _SEEDS
        with torch.inference_mode():
            made = pipe(
                **_arguments(pipe, order, start),
                # On the CPU, so that every kind of device draws the same noise.
                generator=torch.Generator("cpu").manual_seed(seed),
                callback_on_step_end=self._on_step(place),
            )
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            raise Refused("The model's safety checker refused what it made.")
        picture: Image.Image = made.images[0]
        if start.picture is not None and start.mask is not None:
            # The model changes every pixel a little; restore those outside the mask.
            picture = Image.composite(picture, start.picture, start.mask)
        path = order.folder / f"picture-{place}.{order.format}"
        write_picture(picture, path)
        return MadePicture(path, seed, *picture.size)

    def _on_step(self, place: int) -> Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]:
        count = self._order.count
        stage = f"drawing {place + 1} of {count}" if count > 1 else "drawing"

        def after(pipe: Any, step: int, _time: Any, kept: dict[str, Any]) -> dict[str, Any]:
            self._stop_if_canceled()
            done = min(1.0, (step + 1) / max(1, pipe.num_timesteps))
            self._how_far(round(_DRAWN * (place + done) / count, 1), stage)
            return kept

        return after

    def _stop_if_canceled(self) -> None:
        if self._is_canceled():
            raise Canceled


def _start_of(order: Order) -> _Start:
    if order.picture is None:
        if order.size is None:
            raise ValueError("An order without a picture has a size.")
        return _Start(order.size, None, None)
    picture = read_picture(order.picture)
    size = order.size or size_of(picture, order.multiple, order.max_pixels)
    mask = read_mask(order.mask, picture.size) if order.mask else None
    return _Start(size, fitted(picture, size), fitted(mask, size) if mask else None)


def _arguments(pipe: Any, order: Order, start: _Start) -> dict[str, Any]:
    """Return the arguments that this pipeline accepts."""
    wanted: dict[str, Any] = {
        "prompt": order.prompt,
        "num_inference_steps": order.steps,
        "guidance_scale": order.guidance,
        "width": start.size[0],
        "height": start.size[1],
    }
    if order.negative_prompt:
        wanted["negative_prompt"] = order.negative_prompt
    if start.picture is not None:
        wanted |= {"image": start.picture, "strength": order.strength}
    if start.mask is not None:
        wanted["mask_image"] = start.mask
    taken = inspect.signature(pipe.__call__).parameters
    return {name: value for name, value in wanted.items() if name in taken}

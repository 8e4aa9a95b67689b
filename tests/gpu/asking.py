"""Asks a plug for pictures as a worker does, and reads what came."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from safelight.jobs.params import complete_params
from safelight.providers.local.diffusers import DiffusersProvider
from safelight.providers.provider import Done, InputFile, Kind, ProviderRequest, Role


class Handle:
    """An attempt that remembers what was reported, and may act on it."""

    id = "att_test"
    callback_url: str | None = None
    news: bytes | None = None

    def __init__(self, act: Callable[[float, str], None] | None = None) -> None:
        self.heard: list[tuple[float, str]] = []
        self._act = act

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        self.heard.append((progress, stage))
        if self._act:
            self._act(progress, stage)


def request_of(
    plug: DiffusersProvider,
    folder: Path,
    model: str = "sd",
    *,
    inputs: tuple[InputFile, ...] = (),
    **params: Any,
) -> ProviderRequest:
    offered = {offer.id: offer for offer in plug.capabilities()}[model]
    kind = Kind.IMAGE_TO_IMAGE if inputs else Kind.TEXT_TO_IMAGE
    complete = complete_params(offered, {"seed": 7, **params})
    return ProviderRequest(kind, model, "a red cat", complete, inputs, folder)


async def made_by(plug: DiffusersProvider, request: ProviderRequest) -> Done:
    answer = await plug.start(request, Handle())
    assert isinstance(answer, Done)
    return answer


async def bytes_of(
    plug: DiffusersProvider, folder: Path, model: str = "sd", **params: Any
) -> list[bytes]:
    """Return the files of one request."""
    done = await made_by(plug, request_of(plug, folder, model, **params))
    return [made.path.read_bytes() for made in done.outputs]


def picture(folder: Path, width: int = 64, height: int = 64) -> InputFile:
    path = folder.parent / f"picture-{width}x{height}.png"
    slope = Image.linear_gradient("L").resize((width, height))
    Image.merge("RGB", (slope, slope.rotate(180), slope)).save(path)
    return InputFile(path, "image/png", "picture.png")


def mask(folder: Path, width: int = 64, height: int = 64, alpha: int = 0) -> InputFile:
    """A mask whose left half may change."""
    path = folder.parent / "mask.png"
    solid = Image.new("L", (width, height), 255)
    solid.paste(alpha, (0, 0, width // 2, height))
    Image.merge("LA", (Image.new("L", (width, height)), solid)).save(path)
    return replace(InputFile(path, "image/png", "mask.png"), role=Role.MASK)

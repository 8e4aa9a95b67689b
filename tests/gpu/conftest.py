"""Fixtures of the group that needs the extra `diffusers`: tiny models, and plugs that use them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from safelight.providers.local.diffusers import DiffusersConfig, DiffusersProvider, LocalModel, Lora
from tests.gpu import tiny


@dataclass(frozen=True)
class Models:
    """The tiny models of this run."""

    sd: LocalModel
    sdxl: LocalModel
    flux: LocalModel

    @property
    def all(self) -> tuple[LocalModel, ...]:
        return (self.sd, self.sdxl, self.flux)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "sd")
    tiny.stable_diffusion_xl(folder / "sdxl")
    tiny.flux(folder / "flux")
    lora = Lora("waves", tiny.lora(folder / "lora"))
    small = {"size": (64, 64), "steps": 3, "max_steps": 2000}
    return Models(
        LocalModel("sd", folder / "sd", loras=(lora,), **small),
        LocalModel("sdxl", folder / "sdxl", **small),
        LocalModel(
            "flux", folder / "flux", multiple=16, takes_negative=False, schedulers=(), **small
        ),
    )


@pytest.fixture(scope="module")
async def plug(anyio_backend: str, models: Models) -> AsyncIterator[DiffusersProvider]:
    """A plug with one device and all models, whose process lives through a module."""
    async with DiffusersProvider(config_of(models)) as opened:
        yield opened


@pytest.fixture
async def open_plug(models: Models) -> AsyncIterator[Callable[..., DiffusersProvider]]:
    """Opens plugs of other settings, which end with the test."""
    async with AsyncExitStack() as stack:
        opened: list[DiffusersProvider] = []

        def make(**options: Any) -> DiffusersProvider:
            opened.append(DiffusersProvider(config_of(models, **options)))
            stack.push_async_callback(opened[-1].aclose)
            return opened[-1]

        yield make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def config_of(tiny_models: Models, **options: Any) -> DiffusersConfig:
    usual: dict[str, Any] = {
        "models": tiny_models.all,
        "devices": ("cpu",),
        "max_warm": 3,
        "threads": 1,
    }
    return DiffusersConfig(**{**usual, **options})

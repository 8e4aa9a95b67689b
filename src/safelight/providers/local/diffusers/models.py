"""Configuration of the local models: which ones, where their weights are, on which devices."""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, ConfigDict

from safelight.providers.local.diffusers.schedulers import SCHEDULERS
from safelight.providers.price import FREE, Price

_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DEVICE = re.compile(r"cpu|mps|(cuda|xpu)(:[0-9]{1,2})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_STRICT = ConfigDict(extra="forbid")  # they are tables of the catalogue


def _located(source: object) -> object:
    """Turn a string that looks like a path into a `Path`; the catalogue has only strings."""
    if isinstance(source, str) and source.startswith(("/", "./", "../", "~")):
        return Path(source).expanduser()
    return source


Source = Annotated[str | Path, BeforeValidator(_located)]


class Task(StrEnum):
    """The capabilities of a model."""

    TEXT = "text_to_image"
    IMAGE = "image_to_image"
    INPAINT = "inpaint"  # image to image, limited by a mask


class Dtype(StrEnum):
    """Number format of the weights."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class Offload(StrEnum):
    """Offloading of idle parts to main memory: none, components, or single layers."""

    NONE = "none"
    MODEL = "model"
    SEQUENTIAL = "sequential"


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA that jobs may select by `name`: one safetensors file."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    file: Path
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for an invalid name or file type."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a valid LoRA name.")
        if self.file.suffix != ".safetensors":
            raise ValueError(f"The LoRA {self.name} must be a .safetensors file.")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One model, and its default params.

    `source` is a folder as `save_pretrained` writes it, or a repository on the Hugging Face hub,
    whose `revision` must then be a full commit hash. `schedulers` may be chosen besides the model's
    own; flow-matching models, such as Flux, work only with their own. Sides must be divisible by
    `multiple`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    source: Source
    revision: str = ""
    variant: str = ""
    title: str = ""
    description: str = ""
    tasks: frozenset[Task] = frozenset(Task)
    size: tuple[int, int] = (1024, 1024)
    multiple: int = 8
    max_pixels: int = 2048 * 2048
    steps: int = 30
    max_steps: int = 150
    guidance: float = 5.0
    takes_negative: bool = True
    scheduler: str = ""  # the default; empty is the model's own
    schedulers: tuple[str, ...] = tuple(SCHEDULERS)
    loras: tuple[Lora, ...] = ()
    dtype: Dtype = Dtype.FLOAT16
    offload: Offload = Offload.NONE
    max_pictures: int = 4
    timeout: timedelta = timedelta(minutes=10)
    price: Price = FREE

    def __post_init__(self) -> None:
        """Raise `ValueError` for an invalid model, or one that is not pinned."""
        if isinstance(self.source, str):
            self._check_pinned(self.source)
        if Task.TEXT not in self.tasks and Task.IMAGE not in self.tasks:
            raise ValueError(f"The model {self.id} must support text_to_image or image_to_image.")
        if not set(self.schedulers) <= set(SCHEDULERS):
            raise ValueError(f"The schedulers are {', '.join(SCHEDULERS)}.")
        if self.scheduler and self.scheduler not in self.schedulers:
            raise ValueError(
                f"The scheduler {self.scheduler!r} of {self.id} is not in its schedulers."
            )
        if any(side % self.multiple for side in self.size):
            raise ValueError(f"The size of {self.id} must be divisible by {self.multiple}.")

    @property
    def version(self) -> str:
        """The version that results are labeled with."""
        return self.revision or "local folder"

    def lora(self, name: str) -> Lora | None:
        return next((lora for lora in self.loras if lora.name == name), None)

    def _check_pinned(self, source: str) -> None:
        if not _REPO.fullmatch(source):
            raise ValueError(f"{source!r} is not a repository on the hub; give a folder as a Path.")
        if not _COMMIT.fullmatch(self.revision):
            raise ValueError(f"The model {self.id} must pin {source} to a full commit hash.")


@dataclass(frozen=True, slots=True)
class DiffusersConfig:
    """The models, the devices, and the memory limits of each device's process.

    `memory_bytes` is the main memory that a process may allocate beyond its own code; None is
    unlimited. Work that does not stop within `cancel_s` of a cancel is killed with its process.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    models: tuple[LocalModel, ...]
    devices: tuple[str, ...] = ("cuda:0",)
    allow_downloads: bool = False
    max_warm: int = 2
    max_warm_bytes: int | None = None
    memory_bytes: int | None = None
    threads: int | None = None
    start_s: float = 180.0
    cancel_s: float = 10.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for invalid devices, and for models that do not fit them."""
        if not self.devices or not all(_DEVICE.fullmatch(device) for device in self.devices):
            raise ValueError("Devices must be named like cuda:0, or cpu.")
        if len({model.id for model in self.models}) != len(self.models):
            raise ValueError("Two models have the same id.")
        if self.max_warm < 1:
            raise ValueError("max_warm must be at least 1: the model in use.")
        offloads = any(model.offload is not Offload.NONE for model in self.models)
        if offloads and "cpu" in self.devices:
            raise ValueError("A model on the CPU cannot be offloaded.")

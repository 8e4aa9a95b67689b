"""What an operator says: which models may be used and where they lie, on which devices."""

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
_STRICT = ConfigDict(extra="forbid")  # as tables of the catalogue


def _located(source: object) -> object:
    """Return what begins as paths do as a path: in a file all sources are texts."""
    if isinstance(source, str) and source.startswith(("/", "./", "../", "~")):
        return Path(source).expanduser()
    return source


Source = Annotated[str | Path, BeforeValidator(_located)]


class Task(StrEnum):
    """What a model can be asked to do."""

    TEXT = "text_to_image"
    IMAGE = "image_to_image"
    INPAINT = "inpaint"  # image to image, where a mask says what may change


class Dtype(StrEnum):
    """In which numbers a model computes."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class Offload(StrEnum):
    """What of a model waits in main memory: nothing, whole parts of it, or single layers."""

    NONE = "none"
    MODEL = "model"
    SEQUENTIAL = "sequential"


@dataclass(frozen=True, slots=True)
class Lora:
    """A small change to a model that jobs may ask for by `name`: one file of safetensors."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    file: Path
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for what could never be loaded."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name for a LoRA.")
        if self.file.suffix != ".safetensors":
            raise ValueError(f"The LoRA {self.name} must be a file of safetensors.")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One model that jobs may ask for, and how it is used where they say nothing.

    `source` is a folder as `save_pretrained` writes it, or the name of a repository at the hub,
    whose `revision` must then be a whole commit. `schedulers` may be chosen beside the model's own;
    those of flow matching, such as Flux, go with no other. Sides must divide by `multiple`.
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
    scheduler: str = ""  # the usual one; empty is the model's own
    schedulers: tuple[str, ...] = tuple(SCHEDULERS)
    loras: tuple[Lora, ...] = ()
    dtype: Dtype = Dtype.FLOAT16
    offload: Offload = Offload.NONE
    max_pictures: int = 4
    timeout: timedelta = timedelta(minutes=10)
    price: Price = FREE

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no model, or is not pinned."""
        if isinstance(self.source, str):
            self._check_pinned(self.source)
        if Task.TEXT not in self.tasks and Task.IMAGE not in self.tasks:
            raise ValueError(f"The model {self.id} must make pictures of text or of pictures.")
        if not set(self.schedulers) <= set(SCHEDULERS):
            raise ValueError(f"The schedulers are {', '.join(SCHEDULERS)}.")
        if self.scheduler and self.scheduler not in self.schedulers:
            raise ValueError(f"The scheduler {self.scheduler!r} of {self.id} is not among its own.")
        if any(side % self.multiple for side in self.size):
            raise ValueError(f"The size of {self.id} must divide by {self.multiple}.")

    @property
    def version(self) -> str:
        """What results say that they were made by."""
        return self.revision or "local folder"

    def lora(self, name: str) -> Lora | None:
        return next((lora for lora in self.loras if lora.name == name), None)

    def _check_pinned(self, source: str) -> None:
        if not _REPO.fullmatch(source):
            raise ValueError(f"{source!r} is no repository at the hub; give a folder as a Path.")
        if not _COMMIT.fullmatch(self.revision):
            raise ValueError(f"The model {self.id} must name the commit of {source} in full.")


@dataclass(frozen=True, slots=True)
class DiffusersConfig:
    """The models, the devices, and what each device's process may hold.

    `memory_bytes` is main memory that a process may add to what it needs for itself; None leaves
    it unbounded. A picture under way that does not end within `cancel_s` of being canceled takes
    its process down with it.
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
        """Raise `ValueError` for devices that are none, and for models that do not fit them."""
        if not self.devices or not all(_DEVICE.fullmatch(device) for device in self.devices):
            raise ValueError("Name devices such as cuda:0, or cpu.")
        if len({model.id for model in self.models}) != len(self.models):
            raise ValueError("Two models have the same id.")
        if self.max_warm < 1:
            raise ValueError("One model at least must stay warm: the one at work.")
        offloads = any(model.offload is not Offload.NONE for model in self.models)
        if offloads and "cpu" in self.devices:
            raise ValueError("A model on the cpu has nowhere to be offloaded to.")

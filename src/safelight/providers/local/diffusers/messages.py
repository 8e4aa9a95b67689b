"""Messages between a server and its GPU processes: typed, one line of JSON each."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from safelight.json_object import JsonObject

MAX_LINE = 2**20

FailureCode = Literal["bad_input", "canceled", "content_refused", "failed", "memory", "unloadable"]


@dataclass(frozen=True, slots=True)
class Setup:
    """The first message to a process: its device and its memory limits."""

    device: str
    max_warm: int
    max_warm_bytes: int | None
    memory_bytes: int | None
    threads: int | None
    offline: bool
    do: Literal["setup"] = "setup"


@dataclass(frozen=True, slots=True)
class Weights:
    """A model and how to load it."""

    id: str
    source: str
    is_folder: bool
    revision: str
    variant: str
    dtype: str
    offload: str


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A LoRA to apply, and its weight."""

    name: str
    file: Path
    weight: float


@dataclass(frozen=True, slots=True)
class Order:
    """Pictures to make. Each picture's seed is `seed` plus its index.

    Without `size`, the size is that of `picture`, cropped to be divisible by `multiple`.
    """

    weights: Weights
    prompt: str
    negative_prompt: str
    count: int
    size: tuple[int, int] | None
    multiple: int
    max_pixels: int
    seed: int
    steps: int
    guidance: float
    strength: float
    scheduler: str
    format: str
    folder: Path
    lora: LoraFile | None = None
    picture: Path | None = None
    mask: Path | None = None

    @property
    def warmth(self) -> str:
        """The name that a device with this model and LoRA loaded reports."""
        return warmth(self.weights.id, self.lora.name if self.lora else "")


def warmth(model_id: str, lora: str = "") -> str:
    return f"{model_id}+{lora}" if lora else model_id


@dataclass(frozen=True, slots=True)
class Make:
    """Make an order's pictures."""

    order: Order
    do: Literal["make"] = "make"


@dataclass(frozen=True, slots=True)
class Load:
    """Load a model ahead of its first job."""

    weights: Weights
    do: Literal["load"] = "load"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the current work, if any."""

    do: Literal["cancel"] = "cancel"


@dataclass(frozen=True, slots=True)
class Ready:
    """The process has finished its imports."""

    torch: str
    diffusers: str
    say: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress in percent, and the stage."""

    percent: float
    stage: str
    say: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True)
class MadePicture:
    """A finished picture, with what is needed to make it again alone."""

    path: Path
    seed: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The work is done; `warm` lists the loaded models, the most recently used last."""

    warm: tuple[str, ...]
    load_s: float
    run_s: float = 0
    scheduler: str = ""
    pictures: tuple[MadePicture, ...] = ()
    say: Literal["finished"] = "finished"


@dataclass(frozen=True, slots=True)
class Failed:
    """The work failed; `code` identifies our error."""

    code: FailureCode
    message: str
    warm: tuple[str, ...]
    facts: JsonObject = field(default_factory=JsonObject)
    say: Literal["failed"] = "failed"


ToChild = Setup | Make | Load | Cancel
Answer = Finished | Failed
FromChild = Ready | Progress | Finished | Failed

_to_child: TypeAdapter[ToChild] = TypeAdapter(Annotated[ToChild, Field(discriminator="do")])
_from_child: TypeAdapter[FromChild] = TypeAdapter(Annotated[FromChild, Field(discriminator="say")])


def line_to_child(message: ToChild) -> bytes:
    return _to_child.dump_json(message) + b"\n"


def line_from_child(message: FromChild) -> bytes:
    return _from_child.dump_json(message) + b"\n"


def read_to_child(line: bytes) -> ToChild:
    return _to_child.validate_json(line)


def read_from_child(line: bytes) -> FromChild:
    """Parse a message of a process; raise `ValueError` if it is invalid."""
    return _from_child.validate_json(line)

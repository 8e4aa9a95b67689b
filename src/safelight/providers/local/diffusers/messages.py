"""What a server and its GPU processes say to each other: one line of JSON each, typed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

MAX_LINE = 2**20

FailureCode = Literal["bad_input", "canceled", "content_refused", "failed", "memory", "unloadable"]


@dataclass(frozen=True, slots=True)
class Setup:
    """The first line to a process: what it works on, and what it may hold."""

    device: str
    max_warm: int
    max_warm_bytes: int | None
    memory_bytes: int | None
    threads: int | None
    offline: bool
    do: Literal["setup"] = "setup"


@dataclass(frozen=True, slots=True)
class Weights:
    """A model to have warm, and how it is loaded."""

    id: str
    source: str
    is_folder: bool
    revision: str
    variant: str
    dtype: str
    offload: str


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A LoRA to put on the model, and how strongly."""

    name: str
    file: Path
    weight: float


@dataclass(frozen=True, slots=True)
class Order:
    """Pictures to make. The place of a picture in the order is added to `seed` for its own.

    Without a `size` it is that of the `picture`, cut to what divides by `multiple`.
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
        """What is warm on a device that has done this before."""
        return warmth(self.weights.id, self.lora.name if self.lora else "")


def warmth(model_id: str, lora: str = "") -> str:
    return f"{model_id}+{lora}" if lora else model_id


@dataclass(frozen=True, slots=True)
class Make:
    """Do an order."""

    order: Order
    do: Literal["make"] = "make"


@dataclass(frozen=True, slots=True)
class Load:
    """Have a model warm before anybody asks for pictures."""

    weights: Weights
    do: Literal["load"] = "load"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the work under way, if there is any."""

    do: Literal["cancel"] = "cancel"


@dataclass(frozen=True, slots=True)
class Ready:
    """The process has imported all it needs."""

    torch: str
    diffusers: str
    say: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is: percent, and a few words."""

    percent: float
    stage: str
    say: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture, and all it takes to make it again alone."""

    path: Path
    seed: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The work is done; `warm` is what the process holds now, the most recent last."""

    warm: tuple[str, ...]
    load_s: float
    run_s: float = 0
    scheduler: str = ""
    pictures: tuple[Picture, ...] = ()
    say: Literal["finished"] = "finished"


@dataclass(frozen=True, slots=True)
class Failed:
    """The work ended without a result; `code` says which of our errors it is."""

    code: FailureCode
    message: str
    warm: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
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
    """Return what a process said; raises `ValueError` for what is no message."""
    return _from_child.validate_json(line)

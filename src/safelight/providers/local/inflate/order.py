"""Messages to the child process that makes a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from safelight.json_object import JsonObject

Mode: TypeAlias = Literal["inflate", "relief"]

Fact: TypeAlias = str | int | float | bool | list[float]


@dataclass(frozen=True, slots=True)
class Params:
    """A model's params; `schema.PARAMS` explains each."""

    mode: Mode = "inflate"
    thickness: float = 0.9
    smoothing: float = 0.5
    face_limit: int = 60_000
    texture: bool = True
    texture_size: int = 4096
    size_m: float = 1.0
    mask: str = "auto"

    @classmethod
    def read(cls, given: Mapping[str, object]) -> "Params":
        """Return a job's params, which the schema has validated and completed."""
        known = {name: given[name] for name in cls.__slots__ if name in given}
        return cls(**cast("JsonObject", known))


@dataclass(frozen=True, slots=True)
class Order:
    """The picture to make a model of; `model` is the output file.

    `saliency` is the ONNX file of a mask network, if there is one.
    """

    picture: Path
    params: Params
    model: Path
    saliency: Path | None = None

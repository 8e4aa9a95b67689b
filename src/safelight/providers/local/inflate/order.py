"""What one model is made from: the words that the server and its children share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

Mode: TypeAlias = Literal["inflate", "relief"]

Fact: TypeAlias = str | int | float | bool | list[float]


@dataclass(frozen=True, slots=True)
class Params:
    """How the model is to be made; the meaning of each stands in `schema.PARAMS`."""

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
        """Return a job's params, which the schema has already checked and completed."""
        known = {name: given[name] for name in cls.__slots__ if name in given}
        return cls(**cast("dict[str, Any]", known))


@dataclass(frozen=True, slots=True)
class Order:
    """One picture to make a model of; `model` is the file to write.

    `saliency` is the ONNX file of the network that masks may be made by, if there is one.
    """

    picture: Path
    media_type: str
    params: Params
    model: Path
    saliency: Path | None = None

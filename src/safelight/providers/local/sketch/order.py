"""Messages to and from a drawing child process. Imports little, since the server imports it."""

from dataclasses import dataclass
from pathlib import Path

NOTE = "sketch, no AI model"


@dataclass(frozen=True, slots=True)
class Order:
    """A drawing order and its output folder."""

    prompt: str
    negative_prompt: str
    width: int
    height: int
    seed: int
    count: int
    format: str
    strength: float
    references: tuple[Path, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Drawn:
    """One finished picture."""

    path: Path
    seed: int
    recognized: tuple[str, ...]
    unrecognized: tuple[str, ...]
    scene: str

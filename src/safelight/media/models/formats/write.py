"""Reads a model and passes it to the writer for a format."""

from collections.abc import Callable
from pathlib import Path

from safelight.media.models.formats.obj import write_obj
from safelight.media.models.formats.ply import write_ply
from safelight.media.models.formats.read import read_scene
from safelight.media.models.formats.scene import Scene
from safelight.media.models.formats.stl import write_stl
from safelight.media.models.formats.usdz import write_usdz

_WRITERS: dict[str, Callable[[Scene, Path, str], None]] = {
    "obj": write_obj,
    "stl": write_stl,
    "ply": write_ply,
    "usdz": write_usdz,
}


def write(source: Path, kind: str, target: Path, name: str) -> None:
    """Write the model at `source` to `target`; files inside a zip are named after `name`.

    Raises KeyError for a kind that `ModelFormat` does not list.
    """
    _WRITERS[kind](read_scene(source), target, name)

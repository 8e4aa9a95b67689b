"""Renders a model's preview, thumb and animated turntable; child only."""

from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from safelight import cpu
from safelight.media.models.arrays import Bytes
from safelight.media.models.draw.render import Renderer
from safelight.media.models.draw.stage import Stage, make_stage, pictures_of
from safelight.media.models.draw.textures import Textures, load_textures
from safelight.media.models.formats.scene import Scene
from safelight.media.pictures.picture import RENDITION_SIDES, Picture

_YAW, _PITCH = 28.0, 12.0
_TEXTURE_SIDE = 2048  # twice the preview's side: one texel per sample
_FRAMES = 24
_FRAME_SIDE = 320
_FRAME_MS = 125
_QUALITY, _TURNTABLE_QUALITY = 86, 82
_EFFORT = 2
_NOTHING = 0  # keep no metadata
_MEDIA_TYPE = "image/webp"


def draw(scene: Scene, folder: Path, *, still: bool) -> dict[str, Picture]:
    """Write the pictures into `folder`; return them by rendition name.

    Without `still`, only the turntable is rendered.
    """
    cpu.report(20, "reading the textures")
    stage = make_stage(scene)
    textures = load_textures([each.data for each in pictures_of(scene)], _TEXTURE_SIDE)
    stills = _stills(stage, textures, folder) if still else {}
    return stills | _turntable(stage, textures.halved(), folder)


def _stills(stage: Stage, textures: Textures, folder: Path) -> dict[str, Picture]:
    """Write the preview, and the smaller renditions derived from it."""
    cpu.report(30, "rendering the preview")
    side = RENDITION_SIDES["preview"]
    pixels = Renderer(stage, textures, _PITCH, side).draw(_YAW)
    image = pyvips.Image.new_from_array(pixels)
    made: dict[str, Picture] = {}
    for name, size in RENDITION_SIDES.items():
        image = image.thumbnail_image(size)
        path = folder / f"{name}.webp"
        image.webpsave(str(path), Q=_QUALITY, effort=_EFFORT, keep=_NOTHING)
        made[name] = _picture(path, size)
    return made


def _turntable(stage: Stage, textures: Textures, folder: Path) -> dict[str, Picture]:
    """Write one turn to the left, starting at the preview's angle, as an endless loop."""
    renderer = Renderer(stage, textures, _PITCH, _FRAME_SIDE)
    film = np.empty((_FRAMES, _FRAME_SIDE, _FRAME_SIDE, 3), np.uint8)
    for number, frame in enumerate(film):
        cpu.report(50 + 45 * number / _FRAMES, "rendering the turntable")
        frame[:] = renderer.draw(_YAW + 360 * number / _FRAMES)
    path = folder / "turntable.webp"
    _moving(film).webpsave(str(path), Q=_TURNTABLE_QUALITY, effort=_EFFORT)
    return {"turntable": _picture(path, _FRAME_SIDE)}


def _moving(film: Bytes) -> pyvips.Image:
    """Return the frames stacked vertically, as libvips expects, in an endless loop."""
    image = pyvips.Image.new_from_array(film.reshape(-1, *film.shape[2:])).copy()
    values: dict[str, tuple[int, Any]] = {
        "page-height": (pyvips.GValue.gint_type, film.shape[1]),
        "delay": (pyvips.GValue.array_int_type, [_FRAME_MS] * len(film)),
        "loop": (pyvips.GValue.gint_type, 0),
    }
    for name, (kind, value) in values.items():
        image.set_type(kind, name, value)
    return image


def _picture(path: Path, side: int) -> Picture:
    return Picture(path, _MEDIA_TYPE, side, side, path.stat().st_size)

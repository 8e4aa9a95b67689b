"""How many pictures a minute `inflate` makes into 3D models on one core, and in how much memory.

The pictures have 1024 x 1024 pixels: one thing, cut out, before a plain background, and before one
of many colors. Beside it the other formats that a model can be had in.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from bench.sizes import Sizes
from bench.table import Row
from safelight.cpu import CpuPool, Limits
from safelight.media.models.convert import ModelFormat, convert
from safelight.providers.local.inflate.make import make_model
from safelight.providers.local.inflate.order import Order, Params

_SIDE = 1024
_LIMITS = Limits(cpu_s=120, memory_bytes=4 * 2**30, wall_s=180)
_KIB_A_MIB = 1024
_STATUS = Path("/proc/self/status")
_MASKS = {"cut out": "alpha", "plain background": "border", "many colors": "grabcut"}


async def inflation(sizes: Sizes) -> list[Row]:
    """Return a row for each kind of picture."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            await _row(Path(folder), background, mask, sizes.model_rounds)
            for background, mask in _MASKS.items()
        ]


async def conversion(sizes: Sizes) -> list[Row]:
    """Return a row for each format of one model of about 60,000 triangles."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.glb"
        await _in_child(folder, make_model, _order(folder, "cut out", "alpha", model))
        rows: list[Row] = []
        for form in ModelFormat:
            took = [
                await _in_child(folder, convert, model, form, folder, "model")
                for _ in range(sizes.model_rounds)
            ]
            made = folder / f"model{form.ending}"
            rows.append(
                {
                    "format": form.value,
                    "CPU s p50": statistics.median(cpu for cpu, _ in took),
                    "child's peak MiB": max(peak for _, peak in took),
                    "file MiB": made.stat().st_size / 2**20,
                }
            )
        return rows


async def _row(folder: Path, background: str, mask: str, rounds: int) -> Row:
    model = folder / f"{mask}.glb"
    order = _order(folder, background, mask, model)
    took = [await _in_child(folder, make_model, order) for _ in range(rounds)]
    usual = statistics.median(cpu for cpu, _ in took)
    return {
        "picture": background,
        "mask": mask,
        "CPU s p50": usual,
        "pictures a minute": 60 / usual,
        "child's peak MiB": max(peak for _, peak in took),
        "file MiB": model.stat().st_size / 2**20,
    }


def _order(folder: Path, background: str, mask: str, model: Path) -> Order:
    picture = folder / f"{mask}.png"
    _thing(background).pngsave(str(picture))
    return Order(picture, Params(mask=mask), model)


async def _in_child(folder: Path, function: Callable[..., Any], *args: Any) -> tuple[float, float]:
    """Return the seconds of processor that a child takes for it, and the child's peak."""
    pool = CpuPool(1, modules=["safelight.providers.local.inflate.sculpt"])
    try:
        return await pool.run(
            _measured, function, args, reads=[folder], writes=[folder], limits=_LIMITS
        )
    finally:
        pool.close()


def _measured(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[float, float]:
    began = time.process_time()
    function(*args)
    took = time.process_time() - began
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return took, int(line.split()[1]) / _KIB_A_MIB


def _thing(background: str) -> pyvips.Image:
    """A star with a hole and colors that change."""
    down, across = np.mgrid[:_SIDE, :_SIDE] / (_SIDE / 2) - 1
    angle, far = np.arctan2(down, across), np.hypot(down, across)
    inside = (far < 0.65 + 0.25 * np.cos(5 * angle)) & (far > 0.15)
    thing = np.stack([120 + 90 * np.sin(4 * far), 100 + 80 * across, 150 - 70 * down], axis=-1)
    if background == "cut out":
        pixels = np.concatenate([thing, 255 * inside[..., None]], axis=-1)
    else:
        behind = np.full_like(thing, 235)
        if background == "many colors":
            behind = np.random.default_rng(1).integers(0, 90, thing.shape).astype(float)
            behind[..., 1] += 120 * (across > 0)
        pixels = np.where(inside[..., None], thing, behind)
    return pyvips.Image.new_from_array(pixels.astype(np.uint8))

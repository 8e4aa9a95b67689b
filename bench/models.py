"""How long a 3D model takes from its file to its facts and pictures, and in how much memory.

Each is a bumpy ball under a photograph-like texture that fills most of the picture, taken in by a
child as the service does it: preview, thumb and turntable.
"""

import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyvips

from bench.sizes import Sizes
from bench.table import Row
from safelight.cpu import CpuPool, Limits
from safelight.media.models.take_in import ModelRules, take_in_model
from tests.models import packed

_MODULE = "safelight.media.models.look"  # what only children import
_TEXTURE_SIDES = {5_000: 1024, 60_000: 2048, 500_000: 4096}
_LIMITS = Limits(cpu_s=120, memory_bytes=2 * 2**30, wall_s=180)
_KIB_A_MIB = 1024
_FLOAT, _UNSIGNED = 5126, 5125


async def models(sizes: Sizes) -> list[Row]:
    """Return a row for each number of triangles."""
    pool = CpuPool(1, modules=(_MODULE,))
    try:
        with tempfile.TemporaryDirectory() as folder:
            return [
                await _row(pool, Path(folder), triangles, sizes.model_rounds)
                for triangles in sorted(sizes.models)
            ]
    finally:
        pool.close()


async def _row(pool: CpuPool, folder: Path, triangles: int, rounds: int) -> Row:
    side = _TEXTURE_SIDES[triangles]
    source = folder / f"{triangles}.glb"
    source.write_bytes(_ball(triangles, _texture(side)))
    took: list[tuple[float, float]] = []
    peak = 0.0
    for _ in range(rounds):
        wall, cpu, peak = await pool.run(
            _measured, source, folder, reads=[source], writes=[folder], limits=_LIMITS
        )
        took.append((wall, cpu))
    return {
        "triangles": triangles,
        "texture": f"{side} x {side}",
        "file MiB": source.stat().st_size / 2**20,
        "seconds p50": statistics.median(wall for wall, _ in took),
        "CPU s p50": statistics.median(cpu for _, cpu in took),
        "child's peak MiB": peak,
        "preview kB": (folder / "preview.webp").stat().st_size / 1000,
        "turntable kB": (folder / "turntable.webp").stat().st_size / 1000,
    }


def _measured(source: Path, folder: Path) -> tuple[float, float, float]:
    """Take the model in; return seconds on the clock and of processor, and the peak in MiB."""
    wall, cpu = time.perf_counter(), time.process_time()
    take_in_model(source, folder, ModelRules())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_A_MIB
    return time.perf_counter() - wall, time.process_time() - cpu, peak


def _texture(side: int) -> bytes:
    """Squares, a gradient and noise, so that it is as much work as a photograph."""
    down, across = np.mgrid[:side, :side]
    squares = (across // (side // 32) + down // (side // 16)) % 2
    pixels = np.stack([60 + 150 * squares, 200 * down // side, 200 - 150 * squares], axis=-1)
    pixels += np.random.default_rng(1).integers(-12, 12, pixels.shape)
    image = pyvips.Image.new_from_array(np.clip(pixels, 0, 255).astype(np.uint8))
    return image.jpegsave_buffer(Q=90)


def _ball(triangles: int, texture: bytes) -> bytes:
    rows = round((triangles / 4) ** 0.5)
    columns = 2 * rows
    v, u = np.mgrid[: rows + 1, : columns + 1] / np.array([rows, columns]).reshape(2, 1, 1)
    polar, around = v * np.pi, u * 2 * np.pi
    far = 1 + 0.08 * np.sin(9 * around) * np.sin(7 * polar)
    x, y, z = (
        far * np.sin(polar) * np.cos(around),
        far * np.cos(polar),
        -far * np.sin(polar) * np.sin(around),
    )
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype("<f4")
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    below = corner + columns + 1
    faces = [(corner, below, corner + 1), (corner + 1, below, below + 1)]
    indices = np.concatenate([np.stack(face, axis=1) for face in faces]).astype("<u4")
    places = np.stack([u, v], axis=-1).reshape(-1, 2).astype("<f4")
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    return _glb([points, normals, places, indices.reshape(-1, 1)], texture)


def _glb(columns: list[np.ndarray], texture: bytes) -> bytes:
    binary, views = b"", []
    for data in (*(column.tobytes() for column in columns), texture):
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        binary += data + bytes(-len(data) % 4)
    accessors = [
        {
            "bufferView": view,
            "componentType": _FLOAT if column.dtype.kind == "f" else _UNSIGNED,
            "count": len(column),
            "type": {1: "SCALAR", 2: "VEC2", 3: "VEC3"}[column.shape[1]],
        }
        for view, column in enumerate(columns)
    ]
    attributes = {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        "images": [{"bufferView": len(columns), "mimeType": "image/jpeg"}],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "nodes": [{"mesh": 0}],
    }
    return packed(document, binary)

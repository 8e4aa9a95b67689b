"""Renditions of a photograph at their first requests, against bare libvips on as many threads."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.cpu import cpu_s
from bench.photograph import photograph
from bench.server import Server, running_server
from bench.sizes import Sizes
from bench.table import Row

_WIDTH = 800  # pixels; each rendition is a little narrower or wider, or it would exist already
_AT_ONCE = os.cpu_count() or 1
_DEADLINE_S = 300


async def renditions(sizes: Sizes) -> list[Row]:
    """Return renditions per second and the CPU time of each, signing and request included."""
    count = sizes.renditions
    widths = [_WIDTH - count // 2 + number for number in range(count)]
    with tempfile.TemporaryDirectory(prefix="bench-renditions-") as name:
        source = Path(name) / "photograph.jpeg"
        photograph(source)
        with running_server() as server:
            rows = [await _safelight(server, source, widths)]
        return [*rows, await asyncio.to_thread(_libvips, source, widths)]


async def _safelight(server: Server, source: Path, widths: list[int]) -> Row:
    data = await asyncio.to_thread(source.read_bytes)
    async with server.client() as client:
        sent = {"file": (source.name, data, "image/jpeg")}
        asset = (await client.post("/v1/uploads", files=sent)).raise_for_status().json()["id"]

        async def make(width: int) -> None:
            ask = f"/v1/assets/{asset}/renditions?w={width}&format=webp&quality=80"
            url = (await client.get(ask)).raise_for_status().json()["url"]
            (await client.get(url)).raise_for_status()

        await make(10)
        rest = iter(widths)

        async def some() -> None:
            for width in rest:
                await make(width)

        began, spent = time.perf_counter(), cpu_s(server.pid)
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(some())
        seconds = time.perf_counter() - began
        return _row("Safelight, 1 process", len(widths), seconds, cpu_s(server.pid) - spent)


def _libvips(source: Path, widths: list[int]) -> Row:
    command = (sys.executable, "-m", "bench.peers.rendition_vips", source, source.parent)
    numbers = [str(number) for number in (_AT_ONCE, *widths)]
    done = subprocess.run(
        [*command, *numbers], check=True, capture_output=True, timeout=_DEADLINE_S
    )
    said = json.loads(done.stdout)
    return _row(f"libvips, {_AT_ONCE} threads", len(widths), said["seconds"], said["cpu_s"])


def _row(maker: str, count: int, seconds: float, cpu: float) -> Row:
    return {
        "maker": maker,
        "renditions": count,
        "renditions/s": count / seconds,
        "CPU ms each": cpu / count * 1000,
    }

"""How many photographs of 12 megapixels are taken in a second, beside sharp and Pillow.

Each contender has processes of its own, which take turns, so that noise hits all alike. `a core`
is one process bound to one core; `both` is two of them at once, wherever the system puts them.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyvips

from bench.components import Components
from bench.photograph import HEIGHT, WIDTH, photograph
from bench.sizes import Sizes
from bench.table import Row, latency
from tests.servers import tethered

_ANSWER_S = 300.0
_STOP_S = 20.0
_BOTH = 2  # cores
_MODULE = (sys.executable, "-m")
_OURS = (*_MODULE, "bench.pictures")
_HERE = Path(__file__).parent
_NODE = _HERE.parent / ".tools" / "bin" / "node"
_SHARP = (str(_NODE), str(_HERE / "peers" / "pictures_sharp.mjs"))
_CONTENDERS = {  # by name: the command, and what follows source and folder
    "Safelight, child": (_OURS, ()),
    "sharp, clone()": (_SHARP, ("clone",)),
    "sharp, decoded once": (_SHARP, ("raw",)),
    "Pillow": ((*_MODULE, "bench.peers.pictures_pillow"), ()),
}
_SAME_WORK = {"sharp, clone()", "sharp, decoded once"}  # the better of them is the measure
_PIPELINE = "Safelight, whole"
_ENVIRONMENT = {  # one thread each; the first five as safelight.cpu tells its children
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "VIPS_CONCURRENCY": "1",
    "MALLOC_ARENA_MAX": "2",
    "UV_THREADPOOL_SIZE": "1",
}
_WANTED = {  # loader, width and height of what each must write
    "served.jpeg": ("jpegload", WIDTH, HEIGHT),
    "preview.webp": ("webpload", 1024, 768),
    "thumb.webp": ("webpload", 256, 192),
}


@dataclass(slots=True)
class _Turns:
    """One contender on a number of cores, and what its turns took."""

    name: str
    cores: int
    processes: list[Process]
    took: list[float] = field(default_factory=list[float])
    wall: float = 0.0
    made: int = 0

    async def turn(self, count: int) -> None:
        """Have `count` pictures made a core."""
        share = count * self.cores // len(self.processes)
        began = time.perf_counter()
        answers = await asyncio.gather(*(_ask(each, share) for each in self.processes))
        self.wall += time.perf_counter() - began
        for answer in answers:
            self.took += answer
            self.made += len(answer)

    def row(self, sharp: float) -> Row:
        """Return what was measured; `sharp` is the rate that is 1."""
        times = latency(self.took)
        return {
            "contender": self.name,
            "cores": self.cores,
            "pictures/s": self.rate,
            "p50 ms": times["p50 ms"],
            "p99 ms": times["p99 ms"],
            "of sharp": self.rate / sharp,
            "peak MiB": sum(_peak_mib(each.pid) for each in self.processes),
        }

    @property
    def rate(self) -> float:
        """Return pictures a second."""
        return self.made / self.wall


async def ingest(ground: Components, sizes: Sizes) -> dict[str, list[Row]]:
    """Measure all of them on one core and on two; the table's title names the photograph's size."""
    source = ground.folder / "photograph.jpeg"
    photograph(source)
    title = f"A photograph of 12 MP and {source.stat().st_size / 1e6:.1f} MB, taken in"
    rows: list[Row] = []
    for cores in (1, _BOTH):
        async with AsyncExitStack() as stack:
            turns = [
                await stack.enter_async_context(_contender(name, cores, source))
                for name in (_PIPELINE, *_CONTENDERS)
            ]
            for _ in range(sizes.picture_rounds):
                for each in turns:
                    await each.turn(sizes.pictures)
            sharp = max(each.rate for each in turns if each.name in _SAME_WORK)
            rows += [each.row(sharp) for each in turns]
    return {title: rows}


@asynccontextmanager
async def _contender(name: str, cores: int, source: Path) -> AsyncGenerator[_Turns]:
    """Yield a contender that is warm, and whose pictures are right."""
    # The whole pipeline is one process, which has a child a core.
    whole = [(_OURS, (str(cores),))]
    commands = whole if name == _PIPELINE else [_CONTENDERS[name]] * cores
    async with AsyncExitStack() as stack:
        processes: list[Process] = []
        for number, (command, more) in enumerate(commands):
            folder = source.parent / f"{name} {cores} {number}".replace("/", " ")
            folder.mkdir()
            line = (*command, str(source), str(folder), *more)
            process = await stack.enter_async_context(_running(line, bound=cores == 1))
            processes.append(process)
            await _ask(process, cores)
            if name != _PIPELINE:
                _check(folder, source)
        yield _Turns(name, cores, processes)


@asynccontextmanager
async def _running(command: tuple[str, ...], *, bound: bool) -> AsyncGenerator[Process]:
    """Run a program that answers on its output; `bound` to a core from its first thread on."""
    cores = os.sched_getaffinity(0)
    environment: Mapping[str, str] = os.environ | _ENVIRONMENT  # noqa: TID251  handed on
    try:
        if bound:
            os.sched_setaffinity(0, {min(cores)})  # is inherited
        process = await asyncio.create_subprocess_exec(
            *tethered(*command), stdin=PIPE, stdout=PIPE, env=environment
        )
    finally:
        os.sched_setaffinity(0, cores)
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()  # they end with their input
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_S)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ask(process: Process, count: int) -> list[float]:
    """Have `count` pictures made; return the seconds of each."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("The program has no pipes.")
    process.stdin.write(f"{count}\n".encode())
    line = await asyncio.wait_for(process.stdout.readline(), _ANSWER_S)
    if not line:
        raise RuntimeError("The program ended instead of an answer.")
    return json.loads(line)


def _check(folder: Path, source: Path) -> None:
    """Raise unless the pictures are what all contenders are to make."""
    for name, (loader, width, height) in _WANTED.items():
        image = pyvips.Image.new_from_file(str(folder / name))
        found = (image.get("vips-loader"), image.width, image.height)
        if found != (loader, width, height):
            raise RuntimeError(f"{folder.name}: {name} is {found}.")
        if "exif-data" in image.get_fields():
            raise RuntimeError(f"{folder.name}: {name} has kept its metadata.")
    if (folder / "original").read_bytes() != source.read_bytes():
        raise RuntimeError(f"{folder.name}: the original is another.")


def _peak_mib(pid: int) -> float:
    """Return the most that the process and its children have had in memory, each at its peak."""
    process = psutil.Process(pid)
    return sum(_high_water_mib(each.pid) for each in (process, *process.children(recursive=True)))


def _high_water_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]
    return int(kib) / 1024

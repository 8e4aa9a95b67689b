"""Makes renditions with bare libvips, as many at once as threads: SOURCE FOLDER THREADS WIDTH…."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyvips

_QUALITY, _EFFORT = 80, 2  # of WebP, as Safelight's


def _make(source: str, folder: Path, width: int) -> None:
    image = pyvips.Image.thumbnail(source, width, size="down")
    image.webpsave(str(folder / f"{width}.webp"), Q=_QUALITY, effort=_EFFORT, keep=0)


def main() -> None:
    """Print the seconds that all widths took, and their CPU time."""
    source, folder, threads, *widths = sys.argv[1:]
    with ThreadPoolExecutor(int(threads)) as pool:
        _make(source, Path(folder), 10)
        began, spent = time.perf_counter(), time.process_time()
        list(pool.map(lambda width: _make(source, Path(folder), int(width)), widths))
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - spent
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()

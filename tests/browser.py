"""Finds a Chromium for tests: the system's, else that of the npm package `@sparticuz/chromium`."""

import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import ComponentMissing

_ROOT = Path(__file__).parent.parent
_NODE = _ROOT / ".tools" / "bin" / "node"
_PACKED = _ROOT / "node_modules" / "@sparticuz" / "chromium" / "bin"
_UNPACKED = _ROOT / ".cache" / "chromium"
_UNPACK_S = 60.0

FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # WebGL without a graphics card
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)

_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


@dataclass(frozen=True)
class Chromium:
    """A browser's program and the whole environment that it starts with."""

    program: Path
    environment: dict[str, str | float | bool]


def chromium() -> Chromium:
    """Return a browser that starts on a bare machine, as any user."""
    inherited = dict(os.environ)  # noqa: TID251  a child gets it, nothing here reads it
    if system := shutil.which("chromium"):
        return Chromium(Path(system), {**inherited})
    if not _PACKED.is_dir():
        raise ComponentMissing("No chromium on PATH and no npm packages: run `make setup-dev`.")
    _UNPACKED.parent.mkdir(exist_ok=True)
    with _UNPACKED.with_suffix(".lock").open("w") as lock:  # one test worker unpacks
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current():
            _unpack()
    own = {
        "LD_LIBRARY_PATH": str(_UNPACKED / "lib"),
        "FONTCONFIG_FILE": str(_UNPACKED / "fonts.conf"),
    }
    return Chromium(_UNPACKED / "chromium", {**inherited, **own})


def _is_current() -> bool:
    """Say whether the unpacked browser is complete and not older than its package."""
    mark = _UNPACKED / "fonts.conf"
    packed = _PACKED / "chromium.br"
    return mark.exists() and mark.stat().st_mtime >= packed.stat().st_ctime


def _unpack() -> None:
    shutil.rmtree(_UNPACKED, ignore_errors=True)
    _UNPACKED.mkdir()
    program = _UNPACKED / "chromium"
    _decompress(_PACKED / "chromium.br", program)
    program.chmod(0o755)
    for name in ("swiftshader", "al2023", "fonts"):
        archive = _UNPACKED / f"{name}.tar"
        _decompress(_PACKED / f"{name}.tar.br", archive)
        subprocess.run(["tar", "-xf", archive, "-C", _UNPACKED], check=True, timeout=_UNPACK_S)
        archive.unlink()
    # Written last: it marks the folder complete. The package's own names another place.
    (_UNPACKED / "fonts.conf").unlink()
    (_UNPACKED / "fonts.conf").write_text(_FONTS.format(folder=_UNPACKED))


def _decompress(source: Path, target: Path) -> None:
    """Undo Brotli with Node, which carries it; Python does not."""
    with source.open("rb") as packed, target.open("wb") as unpacked:
        subprocess.run(
            [
                _NODE,
                "-e",
                "process.stdin.pipe(require('zlib').createBrotliDecompress()).pipe(process.stdout)",
            ],
            stdin=packed,
            stdout=unpacked,
            check=True,
            timeout=_UNPACK_S,
        )

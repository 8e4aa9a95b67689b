"""Names the decoders in use whose version has a known hole; child only."""

import re
from pathlib import Path

import pyvips

_MAPS = Path("/proc/self/maps")
_LIBRARY = re.compile(r"(/\S*/lib(?:vips|heif|tiff|png|aom|dav1d)[^/\s]*\.so\S*)$", re.MULTILINE)
# A library's own text, in its file or in one that contains it, or the name of its file.
_TOLD = {
    "libtiff": re.compile(rb"LIBTIFF, Version (\d+\.\d+\.\d+)"),
    "libpng": re.compile(rb"libpng version (\d+\.\d+\.\d+)"),
    "libaom": re.compile(rb"AOMedia Project AV1 Decoder v(\d+\.\d+\.\d+)"),
    "libheif": re.compile(rb"libheif\.so\.(\d+\.\d+\.\d+)"),
}
# The version that mends the hole.
HOLES = {
    "libvips": ("8.16.1", "CVE-2025-29769"),
    "libtiff": ("4.7.1", "CVE-2025-9900"),
    "libpng": ("1.6.52", "CVE-2025-66293"),
    "libaom": ("3.9.1", "CVE-2024-5171"),
    "libheif": ("1.21.0", "CVE-2025-68431"),
}


def holes() -> list[str]:
    """Return a sentence for each decoder with a known hole."""
    return judge(versions())


def versions() -> dict[str, str]:
    """Return the versions of libvips and of the decoders that tell theirs."""
    found = {"libvips": ".".join(str(pyvips.version(part)) for part in range(3))}
    maps = _MAPS.read_text() if _MAPS.exists() else ""
    for path in sorted(set(_LIBRARY.findall(maps))):
        text = path.encode() + b"\0" + Path(path).read_bytes()
        for name, pattern in _TOLD.items():
            if told := pattern.search(text):
                found[name] = told[1].decode()
    return found


def judge(found: dict[str, str]) -> list[str]:
    """Return a sentence for each of these versions that has a known hole."""
    return [
        f"{name} {found[name]} has {hole}: {mended} mends it"
        for name, (mended, hole) in HOLES.items()
        if name in found and _numbers(found[name]) < _numbers(mended)
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))

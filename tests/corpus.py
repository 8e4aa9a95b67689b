"""Builds the corpus that `inspect` is judged by: for each file what it must say of it."""

import gzip
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyvips

from safelight.cpu import OutOfResources
from safelight.errors import SafelightError
from safelight.media.errors import (
    MediaEmpty,
    MediaError,
    MediaTooManyPixels,
    MediaTruncated,
    MediaUnsupported,
)
from tests import pictures

Refusals = tuple[type[SafelightError], ...]

DAMAGED: Refusals = (MediaError,)
ANY: Refusals = (MediaError, OutOfResources)


@dataclass(frozen=True)
class Case:
    """A file, and either facts that it has or how it is refused; both where chance decides."""

    name: str
    data: bytes
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    refusals: Refusals = ()


def cases(folders: Sequence[Path]) -> list[Case]:
    """Every file of the corpus; `folders` are searched for pictures that others made."""
    return [
        *_plain(),
        *_turned(),
        *_unusual(),
        *_animated(),
        *_cut(),
        *_flipped(),
        *_malformed(),
        *_bombs(),
        *_metadata_bombs(),
        *_polyglots(),
        *_not_pictures(),
        *_found(folders),
    ]


# --- valid ones ---------------------------------------------------------------------------------


def _plain() -> Iterator[Case]:
    for form in pictures.FORMATS:
        for alpha in (False, True):
            if alpha and form == "jpeg":
                continue
            facts = {"format": form, "width": 90, "height": 40, "frames": 1}
            facts |= {"orientation": 1, "has_alpha": alpha, "color_space": "rgb", "depth": 8}
            if form == "gif":
                del facts["has_alpha"]
            data = pictures.picture(form, 90, 40, alpha=alpha)
            yield Case(f"{form} alpha {alpha}.txt", data, facts)


def _turned() -> Iterator[Case]:
    for form in ("jpeg", "webp", "png", "tiff"):
        for orientation in range(1, 9):
            width, height = (48, 64) if orientation >= 5 else (64, 48)
            facts = {"width": width, "height": height, "orientation": orientation}
            # No encoder here writes where a TIFF was taken.
            facts |= {"has_location": form != "tiff", "format": form}
            yield Case(
                f"{form} turned {orientation}", pictures.photo(form, orientation=orientation), facts
            )


def _unusual() -> Iterator[Case]:
    scene = pictures.scene(300, 200)
    size = {"width": 300, "height": 200}
    ways: list[tuple[str, str, dict[str, Any]]] = [
        ("progressive", "jpeg", {"interlace": True}),
        ("without subsampling", "jpeg", {"subsample_mode": "off"}),
        ("restarts", "jpeg", {"restart_interval": 1}),
        ("interlaced", "png", {"interlace": True}),
        ("palette", "png", {"palette": True}),
        ("palette of two bits", "png", {"palette": True, "bitdepth": 2}),
        ("lossless", "webp", {"lossless": True}),
        ("nearly lossless", "webp", {"near_lossless": True}),
        ("lossless", "avif", {"lossless": True}),
        ("whole colour", "avif", {"subsample_mode": "off"}),
        ("big", "tiff", {"bigtiff": True}),
        ("tiles", "tiff", {"tile": True}),
        ("pyramid", "tiff", {"pyramid": True, "tile": True}),
        ("lzw", "tiff", {"compression": "lzw", "predictor": "horizontal"}),
        ("deflate", "tiff", {"compression": "deflate"}),
        ("jpeg inside", "tiff", {"compression": "jpeg"}),
        ("interlaced", "gif", {"interlace": True}),
    ]
    for name, form, options in ways:
        yield Case(f"{form} {name}", pictures.encode(scene, form, **options), size)
    yield Case("jpeg cmyk", pictures.cmyk_jpeg(), {"color_space": "cmyk"})
    yield Case("png deep", pictures.deep_png(), {"depth": 16, "color_space": "rgb"})
    yield Case("png gray", pictures.gray_png(), {"color_space": "gray"})
    for form in ("jpeg", "png", "webp", "tiff", "avif"):
        yield Case(f"{form} p3", pictures.with_profile(form), {"has_icc": True})
    for name, data in pictures.with_false_profiles().items():
        yield Case(f"jpeg profile {name}", data, {"width": 64})
    deep = (scene * 257).cast("ushort").copy(interpretation="rgb16")
    yield Case("tiff deep", pictures.encode(deep, "tiff"), size | {"depth": 16})
    yield Case("avif deep", pictures.encode(deep, "avif", bitdepth=12), size | {"depth": 12})
    yield Case("tiff float", pictures.encode(scene.cast("float"), "tiff"), size | {"depth": 32})
    bits = scene.colourspace("b-w")
    yield Case("tiff one bit", pictures.encode(bits, "tiff", bitdepth=1), size)
    for form in pictures.FORMATS:
        yield Case(f"{form} one pixel", pictures.picture(form, 1, 1), {"width": 1, "height": 1})


def _animated() -> Iterator[Case]:
    for form in ("gif", "webp"):
        facts = {"frames": 4, "width": 32, "height": 24}
        yield Case(f"{form} animated", pictures.animation(form, 4), facts)
    yield Case("apng", pictures.apng(7, 7), {"frames": 7, "width": 64})
    pages = pyvips.Image.arrayjoin([pictures.scene(), pictures.scene()], across=1).copy()
    pages.set_type(pyvips.GValue.gint_type, "page-height", 48)
    yield Case("tiff two pages", pictures.encode(pages, "tiff"), {"pages": 2, "height": 48})


# --- broken ones --------------------------------------------------------------------------------


def _cut() -> Iterator[Case]:
    for form in pictures.FORMATS:
        whole = pictures.picture(form, 200, 150)
        for keep in (0.1, 0.5, 0.9):
            data = pictures.truncated(whole, keep)
            yield Case(f"{form} cut at {keep}", data, refusals=DAMAGED)
    yield Case("empty", b"", refusals=(MediaEmpty,))


def _flipped() -> Iterator[Case]:
    for form in pictures.FORMATS:
        whole = pictures.picture(form)
        chance = random.Random(form)  # noqa: S311  the same flips each time
        for number in range(5):
            data = bytearray(whole)
            for _ in range(4):
                data[chance.randrange(len(data))] = chance.randrange(256)
            yield Case(f"{form} flipped {number}", bytes(data), {"format": form}, ANY)


def _malformed() -> Iterator[Case]:
    for form in pictures.FORMATS:
        data = pictures.picture(form)
        yield Case(f"{form} zeros behind the header", data[:40] + bytes(500), refusals=DAMAGED)
        noise = random.Random(form).randbytes(500)  # noqa: S311  the same noise each time
        yield Case(f"{form} noise behind the header", data[:40] + noise, refusals=DAMAGED)
    png = pictures.picture("png")
    at = png.index(b"IDAT") + 8
    wrong = png[:at] + bytes([png[at] ^ 1]) + png[at + 1 :]
    yield Case("png wrong checksum", wrong, refusals=(MediaTruncated,))
    yield Case("heic without a decoder", pictures.heic(), refusals=(MediaUnsupported,))


# --- bombs --------------------------------------------------------------------------------------


def _bombs() -> Iterator[Case]:
    for form in pictures.FORMATS:
        data = pictures.claiming(form, 50_000, 50_000)
        yield Case(f"{form} claims much", data, refusals=(MediaTooManyPixels,))
    yield Case("webp largest canvas", _webp_canvas(), refusals=(MediaTooManyPixels,))
    yield Case("png really huge", _huge_png(), refusals=(MediaTooManyPixels,))
    yield Case("gif of 10,000 frames", _long_gif(), refusals=(MediaTooManyPixels,))
    yield Case("apng of many frames", pictures.apng(501, 501), refusals=(MediaTooManyPixels,))
    lies = pictures.apng(2**31 - 1, 2)
    yield Case("apng that lies about its frames", lies, {"frames": 1, "width": 64})
    avif = pictures.claiming("avif", 4000, 4000)
    yield Case("avif lies about its size", avif, {"format": "avif"}, ANY)
    thin = pictures.encode(pictures.scene(1, 65_500), "jpeg")
    yield Case("jpeg 1 x 65500", thin, {"width": 1, "height": 65_500})
    yield Case("jpeg of 5,000 scans", _many_scans(64, 48, 5000), refusals=DAMAGED)
    # Few enough to be let through by their number, but each visits fifty megapixels again.
    large = _many_scans(10_000, 5000, 60)
    yield Case("jpeg of large scans", large, refusals=(MediaTooManyPixels,))
    yield Case("jpeg of scans within the rules", _many_scans(3000, 3000, 90), {"width": 3000}, ANY)
    yield Case("png 60 MP of one colour", _flat_png(10_000, 6000), {"width": 10_000})
    flat = _flat_png(10_000, 6000, interlaced=True)
    yield Case("png 60 MP interlaced", flat, {"width": 10_000})
    yield from _tiff_bombs()


def _webp_canvas() -> bytes:
    return pictures.claiming("webp", 16_383, 16_383)


def _huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes(6251 * 3000), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pictures.chunk(kind, data)
        for kind, data in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )


def _flat_png(width: int, height: int, *, interlaced: bool = False) -> bytes:
    flat = pyvips.Image.black(width, height, bands=3).copy(interpretation="srgb")
    return pictures.encode(flat, "png", interlace=interlaced, compression=1)


def _long_gif() -> bytes:
    gif = pictures.picture("gif", 8, 8)
    start = gif.index(b"\x2c\0\0\0\0")
    return gif[:start] + gif[start:-1] * 10_000 + b";"


def _many_scans(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    flat = pictures.scene(width, height) if width < 100 else pyvips.Image.black(width, height)
    data = pictures.encode(flat, "jpeg", interlace=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def _tiff_bombs() -> Iterator[Case]:
    loop = _tiff([(256, 4, 1, 64), (257, 4, 1, 48), (258, 3, 1, 8)], following=8)
    yield Case("tiff directory loop", loop, refusals=DAMAGED)
    strips = [(256, 4, 1, 64), (257, 4, 1, 48), (273, 4, 2**31, 8), (279, 4, 2**31, 8)]
    yield Case("tiff of two billion strips", _tiff(strips), refusals=DAMAGED)
    high = [(256, 4, 1, 7000), (257, 4, 1, 7000), (258, 3, 1, 8), (262, 3, 1, 1)]
    high += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 2**32 - 1), (279, 4, 1, 2**32 - 1)]
    yield Case("tiff of one huge strip", _tiff(high), refusals=ANY)
    away = b"II*\x00" + struct.pack("<I", 2**32 - 10)
    yield Case("tiff directory outside", away, refusals=DAMAGED)


def _tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    count = struct.pack("<H", len(entries))
    return b"II*\x00" + struct.pack("<I", 8) + count + directory + struct.pack("<I", following)


def _metadata_bombs() -> Iterator[Case]:
    png, jpeg = pictures.picture("png"), pictures.picture("jpeg")
    zeros = zlib.compress(bytes(300 * 2**20), 9)
    fine = {"format": "png", "width": 64}
    for kind in (b"iCCP", b"zTXt"):
        bomb = pictures.chunk(kind, b"name\0\0" + zeros)
        yield Case(f"png {kind.decode()} bomb", png[:33] + bomb + png[33:], fine, ANY)
    text = pictures.chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros)
    yield Case("png iTXt bomb", png[:33] + text + png[33:], fine, ANY)
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(9)
    )
    packet = b"http://ns.adobe.com/xap/1.0/\0" + laughs + b"]><x>&j;</x>"
    data = pictures.with_segment(jpeg, packet, 0xE1)
    yield Case("jpeg xmp billion laughs", data, {"width": 64, "xmp": {}})
    deep = b"http://ns.adobe.com/xap/1.0/\0" + b"<a>" * 20_000
    yield Case("jpeg xmp deep", pictures.with_segment(jpeg, deep, 0xE1), {"xmp": {}})
    for number in range(255, 0, -1):
        part = b"ICC_PROFILE\0" + bytes([number, 255]) + bytes(30_000)
        jpeg = pictures.with_segment(jpeg, part)
    yield Case("jpeg profile of eight megabytes", jpeg, {"width": 64})


# --- others -------------------------------------------------------------------------------------


def _polyglots() -> Iterator[Case]:
    for name, data in pictures.polyglots().items():
        yield Case(name, data, {"format": name.split(maxsplit=1)[0], "width": 64})
    gif = b"GIF89a=1;/*" + bytes(20) + b"*/alert(1)"
    yield Case("gif that is a script", gif, refusals=DAMAGED)
    pdf = b"%PDF-1.4\n" + pictures.picture("jpeg")
    yield Case("pdf around a jpeg", pdf, refusals=(MediaUnsupported,))
    jar = b"PK\x03\x04" + bytes(26) + pictures.picture("png")
    yield Case("zip before a png", jar, refusals=(MediaUnsupported,))


def _not_pictures() -> Iterator[Case]:
    more = {
        "svgz": gzip.compress(pictures.SVG),
        "mvg": b"viewbox 0 0 9 9\nimage over 0,0 9,9 'https://127.0.0.1/x'\n",
        "msl": b'<image><read filename="/etc/passwd"/></image>',
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "eps of dos": b"\xc5\xd0\xd3\xc6" + bytes(60),
        "font": b"\x00\x01\x00\x00\x00\x0a" + bytes(60),
        "woff2": b"wOF2" + bytes(60),
        "jpeg 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(60),
    }
    for name, data in (pictures.NOT_PICTURES | more).items():
        yield Case(f"{name}.png", data, refusals=(MediaUnsupported,))


_ENDINGS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
_ENDINGS |= {".gif": "gif", ".avif": "avif", ".tif": "tiff", ".tiff": "tiff"}
_MOST_FOUND = 12  # of a kind in a folder
_MOST_BYTES = 2**20


def _found(folders: Sequence[Path]) -> Iterator[Case]:
    """Pictures among installed packages; what they show is only known by their endings."""
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix in _ENDINGS)
        for ending, form in _ENDINGS.items():
            fitting = [path for path in files if path.suffix == ending]
            for path in fitting[:_MOST_FOUND]:
                if 0 < path.stat().st_size <= _MOST_BYTES:
                    yield Case(f"found {path.name}", path.read_bytes(), {"format": form})

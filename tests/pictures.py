"""Builds pictures for tests, good and hostile: nothing binary is kept in the repository."""

import struct
import zlib
from collections.abc import Callable
from typing import Any, cast

import pyvips
from numpy.typing import NDArray

from safelight.media.pictures.picture import Picture

FORMATS = ("jpeg", "png", "webp", "gif", "avif", "tiff")
ENDINGS = {"jpeg": "jpg", "png": "png", "webp": "webp", "gif": "gif", "avif": "avif", "tiff": "tif"}
MEDIA_TYPES = {form: f"image/{form}" for form in FORMATS}

_GPS = {
    "exif-ifd3-GPSLatitudeRef": "N",
    "exif-ifd3-GPSLatitude": "52/1 31/1 1234/100",
    "exif-ifd3-GPSLongitudeRef": "E",
    "exif-ifd3-GPSLongitude": "13/1 24/1 5678/100",
}


def data_of(picture: Picture) -> bytes:
    """The encoded bytes of a picture that was made, wherever they are."""
    source = picture.source
    return source if isinstance(source, bytes) else source.read_bytes()


def scene(width: int = 64, height: int = 48, *, alpha: bool = False) -> pyvips.Image:
    """A blue-green gradient with a red block in the upper left quarter, so that turning shows."""
    place = pyvips.Image.xyz(width, height)
    across, down = place[0] * (160.0 / width), place[1] * (200.0 / height)
    red = (place[0] < width // 2) & (place[1] < height // 2)
    image = (across * 0).bandjoin([across, down])
    image = red.ifthenelse([230, 20, 30], image)
    if alpha:
        image = image.bandjoin(place[0] * (255.0 / width))
    return image.cast("uchar").copy(interpretation="srgb")


def encode(image: pyvips.Image, form: str, **options: Any) -> bytes:
    """The bytes of a picture in one of FORMATS."""
    saved = image.write_to_buffer(f".{ENDINGS[form]}", **options)
    return cast("bytes", saved)


def picture(form: str = "png", width: int = 64, height: int = 48, *, alpha: bool = False) -> bytes:
    """A small valid picture in one of FORMATS."""
    return encode(scene(width, height, alpha=alpha), form)


def animation(form: str = "gif", frames: int = 3, width: int = 32, height: int = 24) -> bytes:
    """A GIF or WebP of several frames, a tenth of a second each, repeated forever."""
    shades = [scene(width, height) + 20 * number for number in range(frames)]
    column = pyvips.Image.arrayjoin(shades, across=1).cast("uchar").copy(interpretation="srgb")
    column = column.copy()
    column.set_type(pyvips.GValue.gint_type, "page-height", height)
    column.set_type(pyvips.GValue.array_int_type, "delay", [100] * frames)
    column.set_type(pyvips.GValue.gint_type, "loop", 0)
    return encode(column, form)


def talkative_animation(form: str) -> bytes:
    """An animation of three frames that says "secret" in two places inside and behind its end."""
    data = animation(form, frames=3)
    if form == "gif":
        at = data.index(b"\x21\xff")
        comment = b"\x21\xfe\x06secret\x00"
        xmp = b"\x21\xff\x0bXMP DataXMP\x06secret\x00"
        return data[:at] + comment + xmp + data[at:] + b"secret"
    exif, unknown = b"EXIF\x06\0\0\0secret", b"WHAT\x07\0\0\0secret!\0"
    flagged = data[:20] + bytes([data[20] | 0x08]) + data[21:] + exif + unknown
    return flagged[:4] + struct.pack("<I", len(flagged) - 8) + flagged[8:] + b"secret"


def photo(form: str = "jpeg", *, orientation: int = 6, width: int = 64, height: int = 48) -> bytes:
    """A picture with EXIF as cameras write it: turned, dated, and with the place where it was."""
    image = scene(width, height).copy()
    texts = {
        "exif-ifd0-Make": "Safelight",
        "exif-ifd0-Model": "Testbox 1",
        "exif-ifd2-DateTimeOriginal": "2026:11:22 10:00:00",
        "exif-ifd2-ExposureTime": "1/60",
        "exif-ifd2-FNumber": "28/10",
        "exif-ifd2-ISOSpeedRatings": "400",
    } | _GPS
    for name, text in texts.items():
        image.set_type(pyvips.GValue.gstr_type, name, text)
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return encode(image, form)


def cmyk_jpeg() -> bytes:
    return encode(scene().icc_transform("cmyk", input_profile="srgb"), "jpeg")


def deep_png() -> bytes:
    """A PNG of 16 bits a sample."""
    return encode((scene() * 257).cast("ushort").copy(interpretation="rgb16"), "png")


def gray_png() -> bytes:
    return encode(scene().colourspace("b-w"), "png")


def heic(width: int = 64, height: int = 48) -> bytes:
    """A HEIC whose boxes are right and whose picture is not: there is no encoder to make one."""
    kind = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    entry = box(b"infe", struct.pack(">BxxxHH", 2, 1, 0) + b"hvc1\0")
    config = bytes([1, 1, 0x60]) + bytes(9) + bytes([90, 0xF0, 0, 0xFC, 0xFD, 0xF8, 0xF8])
    config += bytes([0, 0, 0x0F, 0])
    size = box(b"ispe", struct.pack(">III", 0, width, height))
    properties = box(b"ipco", box(b"hvcC", config) + size)
    belongs = box(b"ipma", struct.pack(">IIHBBB", 0, 1, 1, 2, 0x81, 2))

    def directory(at: int) -> bytes:
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">IH", 0, 1))
            + box(b"iloc", struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 1, 0, 1, at, 64))
            + box(b"iinf", struct.pack(">IH", 0, 1) + entry)
            + box(b"iprp", properties + belongs),
        )

    start = len(kind) + len(directory(0)) + 8
    return kind + directory(start) + box(b"mdat", bytes(64))


def box(kind: bytes, data: bytes) -> bytes:
    """One box of an ISO media file."""
    return struct.pack(">I", len(data) + 8) + kind + data


def with_profile(form: str = "jpeg") -> bytes:
    """A picture with an embedded Display P3 profile."""
    return encode(scene().icc_transform("p3", input_profile="srgb"), form)


def with_false_profiles() -> dict[str, bytes]:
    """Pictures whose profile is junk, or of another kind of picture."""
    plain = picture("jpeg")
    cmyk = pyvips.Image.new_from_buffer(cmyk_jpeg(), "").get("icc-profile-data")
    assert isinstance(cmyk, bytes)
    return {
        "junk": with_segment(plain, b"ICC_PROFILE\0\1\1" + b"junk" * 50),
        "of a press": _with_segments(plain, cmyk),
    }


def _with_segments(jpeg: bytes, profile: bytes) -> bytes:
    parts = [profile[start : start + 60_000] for start in range(0, len(profile), 60_000)]
    for number in range(len(parts), 0, -1):
        head = b"ICC_PROFILE\0" + bytes([number, len(parts)])
        jpeg = with_segment(jpeg, head + parts[number - 1])
    return jpeg


def with_segment(jpeg: bytes, data: bytes, marker: int = 0xE2) -> bytes:
    """A JPEG with one more segment at its beginning."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + jpeg[2:]


def apng(told: int, frames: int) -> bytes:
    """An APNG that says how many frames it has, and has another number of the same frame."""
    png = picture()
    control = chunk(b"acTL", struct.pack(">II", told, 0))
    frame = struct.pack(">IIIIHHBB", 64, 48, 0, 0, 1, 10, 0, 0)
    at = png.index(b"IDAT") - 4
    size = int.from_bytes(png[at : at + 4], "big")
    pixels, end = png[at + 8 : at + 8 + size], at + 12 + size
    more = b"".join(
        chunk(b"fcTL", struct.pack(">I", 2 * number - 1) + frame)
        + chunk(b"fdAT", struct.pack(">I", 2 * number) + pixels)
        for number in range(1, frames)
    )
    first = chunk(b"fcTL", struct.pack(">I", 0) + frame)
    return png[:33] + control + first + png[33:end] + more + png[end:]


def tiff(pixels: NDArray[Any], **tags: int) -> bytes:
    """An uncompressed TIFF of these samples: rows, columns and perhaps channels.

    `tags` are `photometric`, `compression` and `extra`, the meaning of one more channel.
    """
    height, width, *more = pixels.shape
    samples = more[0] if more else 1
    depth, form = pixels.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    entries = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [depth] * samples),
        259: (3, [tags.get("compression", 1)]),
        262: (3, [tags.get("photometric", 1)]),
        273: (4, [0]),
        277: (3, [samples]),
        278: (4, [height]),
        279: (4, [pixels.nbytes]),
        339: (3, [form] * samples),
    }
    if "extra" in tags:
        entries[338] = (3, [tags["extra"]])
    start = 10 + 12 * len(entries) + 4
    long = b"".join(
        struct.pack(f"<{len(values)}H", *values)
        for kind, values in entries.values()
        if len(values) > 2
    )
    entries[273] = (4, [start + len(long)])
    directory, at = struct.pack("<H", len(entries)), start
    for tag, (kind, values) in sorted(entries.items()):
        if len(values) > 2:
            inline, at = struct.pack("<I", at), at + 2 * len(values)
        else:
            inline = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        directory += struct.pack("<HHI", tag, kind, len(values)) + inline.ljust(4, b"\0")
    raw = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + long + raw


# --- hostile ones -----------------------------------------------------------------------------


def truncated(data: bytes, keep: float = 0.5) -> bytes:
    """The first part of a file."""
    return data[: int(len(data) * keep)]


def claiming(form: str, width: int, height: int) -> bytes:
    """A small file whose header says that it is huge."""
    return _CLAIMS[form](width, height)


def _png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _gif_claiming(width: int, height: int) -> bytes:
    data = picture("gif")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def _jpeg_claiming(width: int, height: int) -> bytes:
    data = picture("jpeg")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _webp_claiming(width: int, height: int) -> bytes:
    data = encode(scene(alpha=True), "webp")
    at = data.index(b"VP8X") + 12
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return data[:at] + size + data[at + 6 :]


def _avif_claiming(width: int, height: int) -> bytes:
    data = picture("avif")
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def _tiff_claiming(width: int, height: int) -> bytes:
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (273, 4, 1, 8)]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\x00" + struct.pack("<I", 8) + directory


_CLAIMS: dict[str, Callable[[int, int], bytes]] = {
    "png": _png_claiming,
    "gif": _gif_claiming,
    "jpeg": _jpeg_claiming,
    "webp": _webp_claiming,
    "avif": _avif_claiming,
    "tiff": _tiff_claiming,
}

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9"/></svg>'
NOT_PICTURES = {
    "text": b"This is no picture at all.\n" * 20,
    "html": b"<!DOCTYPE html><html><body><h1>404</h1></body></html>",
    "html after white space": b"\xef\xbb\xbf \n<html><img src=x></html>",
    "svg": SVG,
    "svg with prolog": b'<?xml version="1.0"?>\n<!-- hello -->\n' + SVG,
    "xml": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "postscript": b"%!PS-Adobe-3.0\nshowpage\n",
    "magick vector": b"push graphic-context\nfill 'url(https://example.com/)'\n",
    "zip": b"PK\x03\x04" + bytes(60),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(60),
    "program": b"\x7fELF\x02\x01\x01" + bytes(60),
    "bmp": b"BM" + struct.pack("<IHHI", 70, 0, 0, 54) + bytes(60),
    "icon": b"\x00\x00\x01\x00\x01\x00" + bytes(60),
    "ppm": b"P6\n2 2\n255\n" + bytes(12),
    "psd": b"8BPS\x00\x01" + bytes(60),
    "jpeg xl": b"\xff\x0a" + bytes(60),
    "mp4": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(60),
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(60),
    "vips": b"\xb6\xa6\xf2\x08" + bytes(60),
    "matlab": b"MATLAB 5.0 MAT-file" + bytes(200),
    "glb": b"glTF\x02\x00\x00\x00" + bytes(60),
    "one byte": b"\xff",
    "zeros": bytes(1000),
}


def polyglots() -> dict[str, bytes]:
    """Valid pictures that are something else as well."""
    script = b"<script>alert(1)</script>"
    archive = b"PK\x05\x06" + bytes(18)
    png = picture("png")
    return {
        "jpeg and html": picture("jpeg") + script,
        "jpeg and zip": picture("jpeg") + archive,
        "png and html": png + script,
        "png with a text chunk": png[:33] + chunk(b"tEXt", b"Comment\x00" + script) + png[33:],
        "gif and zip": picture("gif") + archive,
        "webp and html": picture("webp") + script,
    }

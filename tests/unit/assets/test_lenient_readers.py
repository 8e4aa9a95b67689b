"""Pictures with odd bytes that the decoders read whole are taken; see also test_readers_fuzzed."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.media.pictures.inspect import Facts, InspectRules, inspect
from tests import pictures

_JPEG, _PNG, _GIF = (pictures.picture(form) for form in ("jpeg", "png", "gif"))
_TABLES = _JPEG.index(b"\xff\xdb")
_LATIN = "Caf\u00e9".encode("latin-1")


def facts_of(data: bytes, folder: Path) -> Facts:
    path = folder / "picture"
    path.write_bytes(data)
    return inspect(path, InspectRules())


def between_segments(stray: bytes) -> bytes:
    return _JPEG[:_TABLES] + stray + _JPEG[_TABLES:]


def after_header(kind: bytes, data: bytes) -> bytes:
    return _PNG[:33] + pictures.chunk(kind, data) + _PNG[33:]


def lossless_jpeg() -> bytes:
    """A lossless JPEG (SOF3) of 64 x 48 gray pixels, each as bright as the one before it."""
    lengths = bytes([0, 0, 0, 0, 17, *bytes(11)])
    table = b"\xff\xc4" + struct.pack(">HB", 36, 0) + lengths + bytes(range(17))
    frame = b"\xff\xc3" + struct.pack(">HBHHB", 11, 8, 48, 64, 1) + b"\x01\x11\x00"
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00\x01\x00\x00"
    return b"\xff\xd8" + table + frame + scan + bytes(64 * 48 * 5 // 8) + b"\xff\xd9"


TAKEN = {
    "jpeg with 20 fill bytes": between_segments(b"\xff" * 20),
    "jpeg with 70,000 fill bytes": between_segments(b"\xff" * 70_000),
    "jpeg with zeros": between_segments(bytes(7)),
    "jpeg with stray bytes": between_segments(b"hello"),
    "jpeg with stuffed zeros": between_segments(b"\xff\x00\xff\x00"),
    "lossless jpeg": lossless_jpeg(),
    "png with a latin-1 keyword": after_header(b"tEXt", _LATIN + b"\0text"),
    "png with a latin-1 text": after_header(b"tEXt", b"Comment\0" + _LATIN),
    "png with a latin-1 profile name": after_header(
        b"iCCP", _LATIN + b"\0\0" + zlib.compress(b"junk" * 50)
    ),
    "png of 2**31 - 1 frames": after_header(b"acTL", struct.pack(">II", 2**31 - 1, 0)),
    "png of 501 frames, and two there": pictures.apng(501, 2),
    "png of no frame": after_header(b"acTL", bytes(8)),
    "gif without a canvas": _GIF[:6] + bytes(4) + _GIF[10:],
    "gif with a small canvas": _GIF[:6] + b"\5\0\5\0" + _GIF[10:],
}


@pytest.mark.filterwarnings("ignore:Invalid APNG")
@pytest.mark.parametrize("name", TAKEN)
def test_inspect_when_decoders_read_it_whole_then_takes_it(name: str, tmp_path: Path) -> None:
    data = TAKEN[name]
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (64, 48)
    facts = facts_of(data, tmp_path)
    assert (facts.width, facts.height, facts.frames) == (64, 48, 1)


def test_inspect_when_an_apng_has_its_frames_then_counts_them(tmp_path: Path) -> None:
    assert facts_of(pictures.apng(3, 3), tmp_path).frames == 3


@pytest.mark.parametrize(
    "data",
    [
        _JPEG.replace(b"\xff\xc0", b"\xff\xc5"),
        _JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
    ],
    ids=["hierarchical", "12 bits"],
)
def test_inspect_when_no_decoder_knows_the_coding_then_is_unsupported(
    data: bytes, tmp_path: Path
) -> None:
    assert data != _JPEG
    with pytest.raises(MediaUnsupported, match="no decoder"):
        facts_of(data, tmp_path)


def test_inspect_when_only_stray_bytes_follow_then_is_truncated(tmp_path: Path) -> None:
    with pytest.raises(MediaTruncated):
        facts_of(_JPEG[:_TABLES] + bytes(200_000), tmp_path)

"""No bytes make a reader of headers, blocks or metadata fail other than by a typed refusal."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.media.errors import MediaError, MediaTruncated
from safelight.media.headers.header import header_in
from safelight.media.metadata import exif, iptc, xmp
from safelight.media.models.check import fbx
from safelight.media.models.check.glb import open_glb
from safelight.media.models.take_in import ModelRules
from safelight.media.pictures import gif, webp
from safelight.media.pictures.inspect import InspectRules, inspect
from safelight.media.sniff import sniff
from tests import models, pictures

_RESERVED = [b"\xff", b"\0", b"\xff" * 4, b"\xff" * 8, b"\x80" + bytes(7), b"\0" * 8, b"\x7f"]
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    b' xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description><dc:title><rdf:Alt>'
    b"<rdf:li>a</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
)
_IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0d\x1c\x02\x05\0\x03abc\x1c\x02\x19\0\0"


def _on_disk(read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def write_and_read(data: bytes, path: Path) -> object:
        path.write_bytes(data)
        return read(path)

    return write_and_read


def _in_memory(read: Callable[[bytes], object]) -> Callable[[bytes, Path], object]:
    return lambda data, _: read(data)


_HEADER = _in_memory(lambda data: header_in(io.BytesIO(data)))
_PROGRESSIVE = pictures.encode(pictures.scene(), "jpeg", interlace=True)
_PNG = pictures.picture()
_APNG = _PNG[:33] + pictures.chunk(b"acTL", bytes(3) + b"\1" + bytes(4)) + _PNG[33:]
READERS: dict[str, tuple[Callable[[bytes, Path], object], bytes]] = {
    **{f"{form} header": (_HEADER, pictures.picture(form)) for form in pictures.FORMATS},
    "progressive": (_HEADER, _PROGRESSIVE),
    "apng": (_HEADER, _APNG),
    "big tiff": (_HEADER, pictures.encode(pictures.scene(), "tiff", bigtiff=True)),
    "heic": (_HEADER, pictures.heic()),
    "gif blocks": (_on_disk(gif.is_whole), pictures.talkative_animation("gif")),
    "gif strip": (
        _in_memory(lambda data: gif.strip(data, io.BytesIO())),
        pictures.talkative_animation("gif"),
    ),
    "webp strip": (
        _in_memory(lambda data: webp.strip(data, io.BytesIO())),
        pictures.talkative_animation("webp"),
    ),
    "iptc": (_in_memory(iptc.read), _IPTC),
    "xmp": (_in_memory(xmp.read), _XMP),
    "exif": (_in_memory(lambda data: exif.value(data.decode("latin-1"))), b"28/10 (f/2.8)"),
    "sniff": (_in_memory(sniff), pictures.picture("avif")),
    "glb": (_on_disk(lambda path: open_glb(path, ModelRules())), models.glb()),
    "fbx": (_on_disk(fbx.check), models.FBX),
}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with up to eight bytes or numbers changed, put in or left out, or its end cut."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(min(len(changed), chance.choice((40, 400, len(changed)))) or 1)
        put = chance.choice([*_RESERVED, bytes([chance.randrange(256)])])
        changed[at : at + chance.choice((0, len(put), len(put), 4))] = put
    return bytes(changed[: chance.choice((None, None, None, chance.randrange(len(changed) + 1)))])


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32))
def test_readers_when_bytes_are_mutated_then_refuse_only_by_type(
    name: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    read, data = READERS[name]
    path = tmp_path_factory.getbasetemp() / "mutated"
    try:
        read(mutated(data, random.Random(seed)), path)  # noqa: S311  the same bytes each time
    except MediaError:
        return


@pytest.mark.parametrize(
    "data", [b"II+\0\x08\0\0\0" + b"\xff" * 8, b"II+\0\x08\0\0\0" + b"\x80" * 8]
)
def test_inspect_when_a_directory_lies_beyond_any_file_then_is_refused(
    data: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(data)
    with pytest.raises(MediaError, match="outside the file"):
        inspect(path, InspectRules())


class _Odd(io.BytesIO):
    """A file that only its first bytes can be read of, without an error that is expected."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise LookupError(offset)


def test_header_when_its_reader_fails_in_an_unforeseen_way_then_the_file_is_damaged() -> None:
    with pytest.raises(MediaTruncated):
        header_in(_Odd(pictures.picture("tiff")))

"""Files of a batch get names that people recognise and every system can store."""

import io
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from safelight.errors import NotFound
from safelight.web.archive import Entry, archive
from safelight.web.package import clean, distinct

_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.glb", "b.glb"], ["a.glb", "b.glb"]),
        (["a.glb", "a.glb", "a.glb"], ["a.glb", "a (2).glb", "a (3).glb"]),
        (["Mug.glb", "mug.GLB"], ["Mug.glb", "mug (2).GLB"]),
        (["a.glb", "a (2).glb", "a.glb"], ["a.glb", "a (2).glb", "a (3).glb"]),
        (["noending", "noending"], ["noending", "noending (2)"]),
    ],
)
def test_distinct_when_names_meet_numbers_the_later_ones(
    names: list[str], found: list[str]
) -> None:
    assert distinct(names) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mug", "mug"),
        ("a/b\\c:d*e?f", "a_b_c_d_e_f"),
        ("line\nbreak\x00", "line_break_"),
        ("  dots... ", "dots"),
        ("кружка 杯", "кружка 杯"),
        ("..", ""),
        ("x" * 500, "x" * 120),
    ],
)
def test_clean_when_a_name_could_do_harm_takes_that_out(name: str, found: str) -> None:
    assert clean(name) == found


class Objects:
    """A storage that has one object, given in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        if key == "gone":
            raise NotFound
        for piece in self.pieces:
            yield piece


async def test_archive_when_streamed_is_a_zip_that_is_never_held_in_whole() -> None:
    pieces = [bytes([number]) * 100_000 for number in range(40)]
    storage = Objects(pieces)
    size = sum(map(len, pieces))
    entries = [
        Entry("manifest.json", _NOON, 2, b"{}"),
        Entry("моя кружка.glb", _NOON, size, "there"),
        Entry("old.glb", datetime(1970, 1, 1, tzinfo=UTC), size, "there"),
    ]
    sent = [piece async for piece in archive(storage, entries)]  # pyright: ignore[reportArgumentType]
    with zipfile.ZipFile(io.BytesIO(b"".join(sent))) as zipped:
        assert zipped.testzip() is None
        assert zipped.namelist() == ["manifest.json", "моя кружка.glb", "old.glb"]
        assert zipped.read("моя кружка.glb") == b"".join(pieces)
        assert zipped.getinfo("old.glb").date_time[0] == 1980
    assert max(map(len, sent)) < size / 4


async def test_archive_when_an_object_has_gone_is_cut_off_and_no_zip() -> None:
    sent = bytearray()
    storage = Objects([b"x" * 100_000])
    entries = [Entry("a", _NOON, 100_000, "there"), Entry("b", _NOON, 1, "gone")]

    async def receive() -> None:
        async for piece in archive(storage, entries):  # pyright: ignore[reportArgumentType]
            sent.extend(piece)

    with pytest.raises(NotFound):
        await receive()
    assert not zipfile.is_zipfile(io.BytesIO(bytes(sent)))

"""How a stream of events is read, however it is cut into parts."""

import pytest

from safelight.providers.remote.openai.sse import Frame, FrameReader, FrameTooLargeError

TEXT = (
    b"\xef\xbb\xbf: a comment\r\n"
    b"event: one\r\ndata: first\r\ndata:second\r\nid: 7\r\n\r\n"
    b"data: third\n\n"
    b"retry: 10\n\n"
    b"event: lost\n\n"
    b"event: two\rdata:  fourth: with a colon\r\r"
    b"data\n\n"
)
FRAMES = [
    Frame("one", b"first\nsecond"),
    Frame("", b"third"),
    Frame("two", b" fourth: with a colon"),
]


def read(text: bytes, size: int, max_bytes: int = 1000) -> list[Frame]:
    reader = FrameReader(max_bytes)
    frames = [
        frame for at in range(0, len(text), size) for frame in reader.feed(text[at : at + size])
    ]
    return [*frames, *reader.close()]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 1000])
def test_feed_when_the_text_is_cut_anywhere_finds_the_same_frames(size: int) -> None:
    assert read(TEXT, size) == FRAMES


def test_feed_when_a_part_is_empty_still_knows_half_a_line_end() -> None:
    reader = FrameReader(1000)
    parts = [b"data: a\r", b"", b"\n", b"data: b\r\n\r", b"", b"\n"]
    assert [frame for part in parts for frame in reader.feed(part)] == [Frame("", b"a\nb")]


def test_close_when_the_last_empty_line_is_missing_yields_the_frame() -> None:
    assert read(b"event: x\ndata: paid", 4) == [Frame("x", b"paid")]


@pytest.mark.parametrize("text", [b"data: " + b"x" * 200, b"data: xxxxxxxx\n" * 20])
def test_feed_when_a_frame_is_too_large_stops(text: bytes) -> None:
    with pytest.raises(FrameTooLargeError):
        read(text, 10, max_bytes=100)


def test_feed_when_many_small_frames_come_takes_them_all() -> None:
    assert len(read(b"data: 12345678\n\n" * 100, 10, max_bytes=100)) == 100

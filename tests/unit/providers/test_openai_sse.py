"""How a stream of events is read, however it is cut into parts."""

from collections.abc import AsyncIterator, Sequence

import pytest

from safelight.providers.remote.openai.sse import EventTooLarge, events

TEXT = (
    b"\xef\xbb\xbf: a comment\r\n"
    b"event: one\r\ndata: first\r\ndata:second\r\nid: 7\r\n\r\n"
    b"data: third\n\n"
    b"retry: 10\n\n"
    b"event: lost\n\n"
    b"event: two\rdata:  fourth: with a colon\r\r"
    b"data\n\n"
)
EVENTS = [
    ("one", "first\nsecond"),
    ("message", "third"),
    ("two", " fourth: with a colon"),
]


async def read(parts: Sequence[bytes], max_bytes: int = 1000) -> list[tuple[str, str]]:
    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return [(event.name, event.data) async for event in events(body(), max_bytes)]


def cut(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 1000])
async def test_events_when_the_text_is_cut_anywhere_finds_the_same_events(size: int) -> None:
    assert await read(cut(TEXT, size)) == EVENTS


async def test_events_when_a_part_is_empty_still_knows_half_a_line_end() -> None:
    parts = [b"data: a\r", b"", b"\n", b"data: b\r\n\r", b"", b"\n"]
    assert await read(parts) == [("message", "a\nb")]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r", b"\r\n"])
async def test_events_when_the_last_empty_line_is_missing_yields_the_event(ending: bytes) -> None:
    assert await read(cut(b"event: x\ndata: paid" + ending, 4)) == [("x", "paid")]


@pytest.mark.parametrize("text", [b"data: " + b"x" * 200, b"data: xxxxxxxx\n" * 20])
async def test_events_when_one_is_too_large_stops(text: bytes) -> None:
    with pytest.raises(EventTooLarge):
        await read(cut(text, 10), max_bytes=100)


async def test_events_when_many_small_ones_come_takes_them_all() -> None:
    assert len(await read(cut(b"data: 12345678\n\n" * 100, 10), max_bytes=100)) == 100

"""The responses of small files are kept for a second, within a bound."""

import pytest

from safelight.web.files.hot_files import HotFiles

HEADERS = [(b"etag", b'"e"'), (b"content-type", b"image/png"), (b"content-length", b"3")]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_file_when_it_was_kept_a_second_ago_is_read_again(clock: Clock) -> None:
    files = HotFiles(clock=clock)
    files.keep("a", b"abc", HEADERS)
    clock.now += 0.99
    kept = files.get("a")
    assert kept
    assert kept.body == b"abc"
    assert kept.headers_304 == [(b"etag", b'"e"')]
    clock.now += 0.01
    assert files.get("a") is None


def test_file_when_it_is_deleted_is_forgotten_at_once(clock: Clock) -> None:
    files = HotFiles(clock=clock)
    files.keep("a", b"abc", HEADERS)
    files.forget("a")
    files.forget("b")
    assert files.get("a") is None


def test_files_when_there_are_too_many_drop_the_oldest(clock: Clock) -> None:
    files = HotFiles(clock=clock)
    large = b"x" * 2**18
    for number in range(129):
        files.keep(str(number), large, HEADERS)
    assert files.get("0") is None
    assert all(files.get(str(number)) for number in range(1, 129))
    for number in range(129):
        files.forget(str(number))
    files.keep("larger", large + b"x", HEADERS)
    assert files.get("larger") is None

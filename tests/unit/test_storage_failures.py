"""A failing store is left alone for a while, and says what it said."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from safelight.storage.causes import explain, told
from safelight.storage.errors import StorageFailed
from safelight.storage.pace import Pace


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def put(pace: Pace, tried: list[str]) -> None:
    with pace.write():
        tried.append("put")
        raise StorageFailed("The file store answered 503.")


def fail(pace: Pace, tried: list[str]) -> timedelta | None:
    with pytest.raises(StorageFailed) as caught:
        put(pace, tried)
    assert caught.value.detail == "The file store answered 503."
    return caught.value.retry_after


def test_pace_when_the_store_fails_then_all_wait_ever_longer() -> None:
    clock, tried = Clock(), list[str]()
    pace = Pace(clock)
    for number, rest_s in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
        assert fail(pace, tried) == timedelta(seconds=rest_s)
        for _ in range(10):  # other jobs: refused without a write, and told how long
            assert fail(pace, tried) == timedelta(seconds=rest_s)
        assert len(tried) == number
        clock.now += rest_s


def test_pace_when_writes_fail_together_then_they_count_once() -> None:
    clock = Clock()
    pace = Pace(clock)
    running = [pace.write() for _ in range(5)]
    for each in running:
        each.__enter__()
    for each in running:
        with suppress(StorageFailed):
            each.__exit__(StorageFailed, StorageFailed("gone"), None)
    clock.now = 1.0
    with pace.write():  # the first rest is over
        pass


def test_pace_when_the_store_may_be_back_then_one_write_finds_out() -> None:
    clock, tried = Clock(), list[str]()
    pace = Pace(clock)
    fail(pace, tried)
    clock.now = 1.0
    with pace.write(), pytest.raises(StorageFailed):
        put(pace, tried)
    with pace.write(), pace.write():  # well again: any number
        tried.append("both")
    assert tried == ["put", "both"]


S3 = (
    "Generic S3 error: Error performing PUT http://h:9/b/k?X-Amz-Signature=abc in 1ms, after 2 "
    "retries - Server returned non-2xx status code: {} Some Words: {}\n\nDebug source:\nGeneric {{"
)
REFUSED = (
    "Generic S3 error: Error performing PUT http://h:9/b/k in 1ms - HTTP error: error sending "
    "request\n\nDebug source: {}"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (S3.format(501, "<Error><Code>NotImplemented</Code></Error>"), "501 NotImplemented"),
        (S3.format(501, "<Error><Code>NotImplemented</Code></Error>"), "checksum=none"),
        (S3.format(501, ""), "checksum=none"),
        (S3.format(403, "<Code>AccessDenied</Code>"), "403 AccessDenied. Allow"),
        (S3.format(403, "<Code>SignatureDoesNotMatch</Code>"), "access key and secret"),
        (S3.format(404, "<Code>NoSuchBucket</Code>"), "404 NoSuchBucket. Create the bucket"),
        (S3.format(503, "<Code>SlowDown</Code>"), "503 SlowDown."),
        (S3.format(400, '{"error": {"code": "invalid"}}'), "400 invalid."),
        (S3.format(502, "<h1>Bad Gateway</h1>"), "answered 502."),
        (REFUSED.format('"tcp connect error", "Connection refused"'), "refused the connection"),
        (REFUSED.format('"dns error"'), "does not resolve"),
        ("x - Received redirect without LOCATION, region", "another region"),
        ("nonsense", "could not be reached"),
    ],
)
def test_explain_when_a_store_refuses_then_names_status_code_and_remedy(
    text: str, words: str
) -> None:
    assert words in explain(Exception(text))
    assert "http://" not in explain(Exception(text))


@pytest.mark.parametrize("make", [PermissionError, FileNotFoundError])
def test_explain_when_a_folder_refuses_then_says_why(make: Callable[..., OSError]) -> None:
    assert "Permission denied" in explain(make(13, "Permission denied"))


def test_told_when_logged_then_is_one_line_without_signatures() -> None:
    line = told(Exception(S3.format(501, "<Code>NotImplemented</Code>")))
    assert "501" in line
    assert "NotImplemented" in line
    assert "Signature" not in line
    assert "\n" not in line

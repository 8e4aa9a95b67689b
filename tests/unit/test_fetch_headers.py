"""Response headers as the fetcher reads them."""

from datetime import UTC, datetime, timedelta

import pytest

from safelight.fetch import headers

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", timedelta(seconds=120)),
        (" 0 ", timedelta()),
        ("Sun, 22 Nov 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Sun, 22 Nov 2026 11:00:00 GMT", timedelta()),
        ("999999999", timedelta(days=1)),
        ("9" * 40, None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u0663", None),
    ],
)
def test_retry_after_when_given_then_is_read(value: str, expected: timedelta | None) -> None:
    assert headers.retry_after({"retry-after": value}, NOW) == expected


@pytest.mark.parametrize(
    ("disposition", "path", "expected"),
    [
        ("", "/a/cat.png", "cat.png"),
        ("", "/a/caf%C3%A9%20noir.png", "caf\u00e9 noir.png"),
        ("", "/", ""),
        ("", "/a/", ""),
        ("", "/..%2f..%2fetc%2fpasswd", "passwd"),
        ("", "/a%00b.png", "a_b.png"),
        ("inline", "/cat.png", "cat.png"),
        ('attachment; filename="dog.png"', "/cat.png", "dog.png"),
        ('attachment; filename="C:\\\\dog.png"', "/cat.png", "C_dog.png"),
        ("attachment; filename*=UTF-8''na%C3%AFve.png", "/cat.png", "na\u00efve.png"),
        (
            "attachment; filename=\"cafe.jpg\"; filename*=UTF-8''caf%C3%A9.jpg",
            "/cat.png",
            "caf\u00e9.jpg",
        ),
        (
            "inline; FILENAME*=utf-8'en'%e2%82%ac.png; filename=euro.png",
            "/cat.png",
            "\u20ac.png",
        ),
        ("attachment; filename*=nonsense''%FF.png; filename=dog.png", "/cat.png", "dog.png"),
        ("attachment; filename*=UTF-8''%FF.png; filename=dog.png", "/cat.png", "dog.png"),
        ("attachment; filename*=nonsense''%FF.png", "/cat.png", "cat.png"),
        ('attachment; filename=""', "/cat.png", "cat.png"),
        ('attachment; filename=".."', "/cat.png", ""),
    ],
)
def test_file_name_when_guessed_then_is_a_bare_label(
    disposition: str, path: str, expected: str
) -> None:
    name = headers.file_name({"content-disposition": disposition}, path)
    assert name == expected
    assert "/" not in name


def test_file_name_when_too_long_then_keeps_its_ending() -> None:
    name = headers.file_name({}, "/" + "x" * 3000 + ".jpeg")
    assert len(name) == 200
    assert name.endswith("x.jpeg")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("10", 10), ("", None), ("-1", None), ("1e3", None), ("9" * 30, None), ("\u0661", None)],
)
def test_content_length_when_given_then_is_a_plain_number(value: str, expected: int | None) -> None:
    assert headers.content_length({"content-length": value}) == expected


def test_media_type_when_it_has_parameters_then_drops_them() -> None:
    assert headers.media_type({"content-type": "Image/PNG; charset=x"}) == "image/png"
    assert headers.media_type({}) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        (" ", ""),
        ("identity", ""),
        ("aws-chunked", ""),
        ("UTF-8", ""),
        ("none", ""),
        ("binary", ""),
        ("GZIP", "gzip"),
        ("aws-chunked, gzip", "gzip"),
        ("gzip,aws-chunked,", "gzip"),
        ("gzip, gzip", "gzip,gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
    ],
)
def test_content_coding_when_words_name_no_compression_then_ignores_them(
    value: str, expected: str
) -> None:
    assert headers.content_coding({"content-encoding": value}) == expected

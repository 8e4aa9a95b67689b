"""Typed arguments become API requests, or a clear refusal."""

from pathlib import Path

import pytest

from safelight.cli import arguments
from safelight.cli.failure import BadUse


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("n=2", 2),
        ("n=2.5", 2.5),
        ("n=true", True),
        ('n=["a"]', ["a"]),
        ("n=blue", "blue"),
        ("n=a=b", "a=b"),
        ("n=", ""),
        ("n=NaN", "NaN"),
        ('n="2"', "2"),
    ],
)
def test_params_when_a_value_reads_as_json_are_that_else_text(pair: str, value: object) -> None:
    assert arguments.read_params([pair]) == {"n": value}


@pytest.mark.parametrize("pair", ["n", "=1", ""])
def test_params_when_a_name_or_a_value_is_missing_are_refused(pair: str) -> None:
    with pytest.raises(BadUse, match="NAME=VALUE"):
        arguments.read_params([pair])


def test_urls_when_given_directly_and_in_a_file_come_in_order(tmp_path: Path) -> None:
    listed = tmp_path / "urls.txt"
    listed.write_text("# photos\nhttps://a.example/2.jpg\r\n\n  HTTP://b.example/3.jpg  \n")

    found = arguments.read_urls(["https://a.example/1.jpg", str(listed)])

    assert found == ["https://a.example/1.jpg", "https://a.example/2.jpg", "HTTP://b.example/3.jpg"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no address"),
        (b"photo.jpg", "photo.jpg"),
        (b"\x89PNG\x00\x00", "not a list"),
        (b"https://a.example/1.jpg\n" * 1001, "At most 1000"),
    ],
)
def test_urls_when_the_file_holds_none_or_too_many_are_refused(
    tmp_path: Path, content: bytes, says: str
) -> None:
    listed = tmp_path / "urls.txt"
    listed.write_bytes(content)
    with pytest.raises(BadUse, match=says):
        arguments.read_urls([str(listed)])


def test_pictures_when_at_most_25_pass() -> None:
    arguments.check_pictures(["a.png"] * 25)
    with pytest.raises(BadUse, match="26 were given"):
        arguments.check_pictures(["a.png"] * 26)


@pytest.mark.parametrize("name", ["", "gone.png", "a\x00b"])
def test_file_when_it_cannot_be_opened_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadUse):
        arguments.open_file(str(tmp_path / name) if name else name)


def test_params_when_one_is_given_twice_are_refused() -> None:
    with pytest.raises(BadUse, match="given twice"):
        arguments.read_params(["n=1", "n=2"])


@pytest.mark.parametrize(
    ("options", "params"),
    [
        ({"size": "1x1", "aspect_ratio": "1:1"}, {}),
        ({"size": "1x1"}, {"aspect_ratio": "1:1"}),
        ({}, {"size": "1x1", "aspect_ratio": "1:1"}),
        ({"size": "1x1"}, {"size": "2x2"}),
    ],
)
def test_options_when_they_contradict_each_other_are_refused(
    options: dict[str, str], params: dict[str, str]
) -> None:
    with pytest.raises(BadUse, match=r"not both|given twice"):
        arguments.check_agreeing(options, params)

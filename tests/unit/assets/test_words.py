"""Text is taken apart in one way, whatever it is in, and anything may be typed into a search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.assets.index.words import MAX_CLAUSES, Clause, TextQuery, parse, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red cats, playing!", ["red", "cat", "play"]),
        ("Café CAFÉ cafe\u0301", ["cafe"] * 3),
        ("Straße \uff21\uff22\uff23", ["strass", "abc"]),
        ("IMG_0042-final.jpeg", ["img", "0042", "final", "jpeg"]),
        ("красивые Ёлки", ["красивые", "елки"]),
        ("東京の猫", ["東", "京", "の", "猫"]),
        ("고양이", ["고", "양", "이"]),
        ("3d 2x4", ["3d", "2x4"]),
        ("don't", ["don", "t"]),
        (" \n\x00!?", []),
    ],
)
def test_words_when_text_is_of_any_script_are_folded_apart_and_stemmed(
    text: str, expected: list[str]
) -> None:
    assert list(words(text)) == expected


def one(*words: str, is_prefix: bool = False) -> Clause:
    return Clause(words, is_prefix)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("cats", TextQuery((one("cat"),))),
        ("red cats", TextQuery((one("red"), one("cat")))),
        ('"red cats"', TextQuery((one("red", "cat"),))),
        ('"never closed', TextQuery((one("never", "close"),))),
        ("cat -dog", TextQuery((one("cat"),), (one("dog"),))),
        ('-"hot dog"', TextQuery((), (one("hot", "dog"),))),
        ("photogr*", TextQuery((one("photogr", is_prefix=True),))),
        ("a*", TextQuery((one("a"),))),
        ("well-known", TextQuery((one("well", "known"),))),
        ("AND OR NOT NEAR(", TextQuery((one("and"), one("or"), one("not"), one("near")))),
        ("' \" * : & | ! <-> ()", TextQuery()),
        ("", TextQuery()),
    ],
)
def test_query_when_typed_means_what_people_expect(query: str, expected: TextQuery) -> None:
    assert parse(query) == expected


@given(st.text(max_size=300))
def test_query_when_it_is_anything_is_no_error_and_bounded(query: str) -> None:
    found = parse(query)
    clauses = found.wanted + found.unwanted
    assert len(clauses) <= MAX_CLAUSES
    assert all(word.isalnum() for clause in clauses for word in clause.words)

"""Tokenizes text into search words, uniformly for all databases and languages.

The databases' own tokenizers differ. Here a word is folded (case, width, accents) and, if English,
stemmed, so that `cafe` finds `Cafés`. Scripts without spaces between words are split by character.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Protocol, cast

MAX_QUERY = 200
MAX_CLAUSES = 16
MAX_WORDS = 2_000  # per asset
_MAX_LETTERS = 40
_MIN_PREFIX = 2

_RUN = re.compile(r"[^\W_]+")
# Han, kana and Hangul, Thai, Lao, Khmer and Myanmar: one word per character.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)
_CLAUSE = re.compile(r'(?P<not>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802


@cache
def _stemmer() -> _Stemmer:
    import snowballstemmer  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs]  few processes index

    return cast("_Stemmer", snowballstemmer.stemmer("english"))  # pyright: ignore[reportUnknownMemberType]


@dataclass(frozen=True, slots=True)
class Clause:
    """Consecutive words; the last may be a prefix."""

    words: tuple[str, ...]
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Clauses that must all match, and clauses that must not."""

    wanted: tuple[Clause, ...] = ()
    unwanted: tuple[Clause, ...] = ()


def words(text: str) -> Iterator[str]:
    """Yield the words of `text`, folded and stemmed, in order."""
    for run in _runs(text):
        yield _stem(run)


def parse(query: str) -> TextQuery:
    """Parse a search query: words, `"a phrase"`, `-without`, `prefix*`.

    Never fails; parts without a word are ignored.
    """
    wanted: list[Clause] = []
    unwanted: list[Clause] = []
    for found in _CLAUSE.finditer(query[:MAX_QUERY]):
        clauses = wanted if not found["not"] else unwanted
        clause = _clause(found["phrase"], found["word"])
        if clause and len(wanted) + len(unwanted) < MAX_CLAUSES:
            clauses.append(clause)
    return TextQuery(tuple(wanted), tuple(unwanted))


def _clause(phrase: str | None, word: str | None) -> Clause | None:
    text = phrase if phrase is not None else word or ""
    runs = list(_runs(text))
    if not runs:
        return None
    is_prefix = phrase is None and text.endswith("*") and len(runs[-1]) >= _MIN_PREFIX
    last = runs[-1] if is_prefix else _stem(runs[-1])
    return Clause((*map(_stem, runs[:-1]), last), is_prefix)


def _runs(text: str) -> Iterator[str]:
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    for run in _RUN.findall(_UNSPACED.sub(r" \g<0> ", unicodedata.normalize("NFC", plain))):
        yield run[:_MAX_LETTERS]


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    return _stemmer().stemWord(word) if word.isascii() and word.isalpha() else word

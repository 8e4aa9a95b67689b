"""Knows what words mean: icons by name in many languages, and colours, counts, places and more."""

import gzip
import json
import re
import zipfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

from safelight.providers.sketch import words

_HERE = Path(__file__).parent
_DATA = _HERE / "data"
_LEXICON = _HERE / "lexicon"
_MAX_PHRASE = 4
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase stands for: a kind such as `icon`, `colour` or `place`, and which one."""

    kind: str
    value: str
    plural: bool = False


class _Facts(TypedDict):
    box: list[float]
    top: list[float]
    hue: float | None


class DataMissing(RuntimeError):
    """The icon and word tables have not been built."""

    def __init__(self) -> None:
        super().__init__(f"{_DATA} is empty: run `make setup`, which builds it from npm packages.")


def read(text: str) -> list[Meaning | None]:
    """Return the meanings in `text`, in order; None stands for a pause."""
    table = _table()
    tokens = [part for word in words.split(text) for part in _cut(word, table)]
    found: list[Meaning | None] = []
    at = 0
    while at < len(tokens):
        if words.is_pause(tokens[at]):
            found.append(None)
            at += 1
            continue
        for length in range(min(_MAX_PHRASE, len(tokens) - at), 0, -1):
            meaning = _look_up(" ".join(tokens[at : at + length]), table)
            if meaning is not None:
                found.append(meaning)
                at += length
                break
        else:
            found.append(Meaning("unknown", tokens[at]))
            at += 1
    return found


def icon(name: str) -> str:
    """Return the SVG body of an icon, with ids that begin with `§`, drawn in 32 x 32 units."""
    return _icons()[name]


def box(name: str) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of what an icon paints, in its 32 units."""
    left, top, right, bottom = _facts()[name]["box"]
    return left, top, right, bottom


def hue(name: str) -> float | None:
    """Return the hue of an icon's largest part, 0 to 1; None where it is grey."""
    return _facts()[name]["hue"]


def top(name: str, share: float) -> float:
    """Return where an icon's upper outline lies at `share` of its width, in its 32 units."""
    tops = _facts()[name]["top"]
    return tops[min(int(share * len(tops)), len(tops) - 1)]


def _look_up(phrase: str, table: dict[str, Meaning]) -> Meaning | None:
    for form in _forms(phrase):
        if form in table:
            found = table[form]
            return found if form == phrase else replace(found, plural=True)
    return None


def _forms(phrase: str) -> list[str]:
    """Return a phrase and its likely singulars."""
    forms = [phrase]
    if len(phrase) > 3 and phrase.isascii():  # noqa: PLR2004  shorter words have no plural
        for ending, singular in (("ies", "y"), ("ves", "f"), ("es", ""), ("s", ""), ("n", "")):
            if phrase.endswith(ending):
                forms.append(phrase.removesuffix(ending) + singular)
    return forms


def _cut(word: str, table: dict[str, Meaning]) -> list[str]:
    """Cut a run of a script without spaces into the longest words that are known."""
    if not _UNSPACED.search(word):
        return [word]
    parts: list[str] = []
    at = 0
    while at < len(word):
        for end in range(min(len(word), at + 8), at, -1):
            if word[at:end] in table:
                parts.append(word[at:end])
                at = end
                break
        else:
            at += 1
    return parts


@lru_cache(1)
def _table() -> dict[str, Meaning]:
    """Return every known phrase. English comes first where languages share a word."""
    table: dict[str, Meaning] = {}
    english_first = sorted(_LEXICON.glob("??.txt"), key=lambda path: (path.stem != "en", path.stem))
    _add_lexicon(table, english_first[0])
    for line in _lines(_LEXICON / "synonyms.txt"):
        name, _, phrases = line.partition(":")
        for phrase in phrases.split(","):
            table.setdefault(_key(phrase), Meaning("icon", name.strip()))
    with _archive("words.zip") as archive:
        names = sorted(archive.namelist(), key=lambda name: (name != "en.json", name))
        _add_icons(table, json.loads(archive.read(names[0])))
        for path in english_first[1:]:
            _add_lexicon(table, path)
        for name in names[1:]:
            _add_icons(table, json.loads(archive.read(name)))
    return table


def _add_icons(table: dict[str, Meaning], icons: dict[str, str]) -> None:
    for phrase, name in icons.items():
        if len(phrase) > 1 or _UNSPACED.search(phrase):
            table.setdefault(phrase, Meaning("icon", name))


def _add_lexicon(table: dict[str, Meaning], path: Path) -> None:
    endings = [""]
    for line in _lines(path):
        head, _, phrases = line.partition(":")
        if head == "endings":
            endings = [ending.strip().replace("-", "") for ending in phrases.split(",")]
            continue
        kind, _, value = head.strip().partition(" ")
        kind = "icon" if kind == "noun" else kind
        for phrase in phrases.split(","):
            stem = phrase.strip()
            for ending in endings if stem.endswith("~") else [""]:
                table.setdefault(_key(stem.removesuffix("~") + ending), Meaning(kind, value))


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _key(phrase: str) -> str:
    return " ".join(word for word in words.split(phrase) if not words.is_pause(word))


@lru_cache(1)
def _icons() -> dict[str, str]:
    with _archive("icons.zip") as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@lru_cache(1)
def _facts() -> dict[str, _Facts]:
    with gzip.open(_DATA / "icons.json.gz") as file:
        return json.load(file)


def _archive(name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(_DATA / name)
    except FileNotFoundError:
        raise DataMissing from None

"""Looks up words: icons by name in many languages, colors, counts, places and more."""

import gzip
import json
import re
import zipfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

from safelight.providers.local.sketch import words

_HERE = Path(__file__).parent
_DATA = _HERE / "data"
_LEXICON = _HERE / "lexicon"
_MAX_PHRASE = 4
_SAMPLE = 400  # words, and their characters, that identify a language
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


@dataclass(frozen=True, slots=True)
class Meaning:
    """Meaning of a phrase: a kind such as `icon`, `color` or `place`, and a value."""

    kind: str
    value: str
    plural: bool = False


Table = dict[str, Meaning]


class _Facts(TypedDict):
    box: list[float]
    top: list[float]
    hue: float | None


class DataMissing(RuntimeError):
    """The icon and word tables have not been built."""

    def __init__(self) -> None:
        super().__init__(f"{_DATA} is empty: run `make setup`, which builds it from npm packages.")


def read(text: str) -> list[Meaning | None]:
    """Return the meanings in `text`, in order; None stands for a pause.

    Words are looked up in the language that most function words belong to, and in English. An
    icon's tags, as opposed to its name, count only if no name matches.
    """
    tokens = words.split(text)
    languages = _languages(tokens)
    found = _read(tokens, _table(languages, tags=False))
    if any(meaning and meaning.kind == "icon" for meaning in found):
        return found
    return _read(tokens, _table(languages, tags=True))


def _read(tokens: list[str], table: Table) -> list[Meaning | None]:
    parts = [part for word in tokens for part in _cut(word, table)]
    found: list[Meaning | None] = []
    at = 0
    while at < len(parts):
        if words.is_pause(parts[at]):
            found.append(None)
            at += 1
            continue
        meaning, length = _longest(parts, at, table)
        found.append(meaning)
        at += length
    return found


def _longest(parts: list[str], at: int, table: Table) -> tuple[Meaning, int]:
    if parts[at].isdecimal():
        return Meaning("count", parts[at][:4]), 1
    for length in range(min(_MAX_PHRASE, len(parts) - at), 0, -1):
        meaning = _look_up(" ".join(parts[at : at + length]), table)
        if meaning is not None:
            return meaning, length
    return Meaning("unknown", parts[at]), 1


def _languages(tokens: list[str]) -> tuple[str, ...]:
    """Return the languages with the most function words and colors in the text; English first.

    If the text has none, every language is possible.
    """
    spoken: dict[str, int] = {}
    for path in _lexicons():
        own = _lexicon(path.stem)
        spoken[path.stem] = sum(
            len(part)
            for word in tokens[:_SAMPLE]
            for part in _cut(word[:_SAMPLE], own)
            if part in own
        )
    most = max(spoken.values())
    if not most:
        return ("en", *_spoken())
    return (
        ("en",) if spoken["en"] == most else tuple(name for name in spoken if spoken[name] == most)
    )


def icon(name: str) -> str:
    """Return the SVG body of an icon, with ids that begin with `§`, drawn in 32 x 32 units."""
    return _icons()[name]


def box(name: str) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of an icon's painted area, in its 32 units."""
    left, top, right, bottom = _facts()[name]["box"]
    return left, top, right, bottom


def hue(name: str) -> float | None:
    """Return the hue of an icon's largest part, 0 to 1; None if it is gray."""
    return _facts()[name]["hue"]


def top(name: str, share: float) -> float:
    """Return the height of an icon's upper outline at `share` of its width, in its 32 units."""
    tops = _facts()[name]["top"]
    return tops[min(int(share * len(tops)), len(tops) - 1)]


def table_lines(file: str) -> list[tuple[str, str]]:
    """Return the lines `head: rest` of a file of the lexicon."""
    parts = (line.partition(":") for line in _lines(_LEXICON / file))
    return [(head.strip(), rest.strip()) for head, _, rest in parts]


def _look_up(phrase: str, table: Table) -> Meaning | None:
    for form in _forms(phrase):
        if form in table:
            found = table[form]
            single = table.get(phrase.removesuffix("s"))
            # "stars" may have its own entry and still be the plural of "star".
            listed = phrase.endswith("s") and single is not None and single.value == found.value
            return replace(found, plural=found.plural or form != phrase or listed)
    return None


def _forms(phrase: str) -> list[str]:
    """Return a phrase and its likely singulars."""
    forms = [phrase]
    if len(phrase) > 3 and phrase.isascii():  # noqa: PLR2004  shorter words have no plural
        for ending, singular in (("ies", "y"), ("ves", "f"), ("es", ""), ("s", ""), ("n", "")):
            if phrase.endswith(ending):
                forms.append(phrase.removesuffix(ending) + singular)
    return forms


def _cut(word: str, table: Table) -> list[str]:
    """Cut a run of a script without spaces into the longest known words."""
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


@lru_cache(maxsize=32)
def _table(languages: tuple[str, ...], *, tags: bool) -> Table:
    """Return the phrases of some languages, and of English as a fallback."""
    table: Table = {}
    for name in dict.fromkeys((*languages, "en")):
        for phrase, meaning in _lexicon(name).items():
            table.setdefault(phrase, meaning)
        if name == "en":
            _add_synonyms(table)
        _add_icons(table, name, "labels")
        if tags:
            _add_icons(table, name, "tags")
    return table


def _add_synonyms(table: Table) -> None:
    for line in _lines(_LEXICON / "synonyms.txt"):
        name, _, phrases = line.partition(":")
        for phrase in phrases.split(","):
            several = phrase.endswith("+")  # a plural without an ending
            table.setdefault(_key(phrase), Meaning("icon", name.strip(), several))


def _add_icons(table: Table, language: str, part: str) -> None:
    for phrase, name in _names(language)[part].items():
        if len(phrase) > 1 or _UNSPACED.search(phrase):
            table.setdefault(phrase, Meaning("icon", name))


@lru_cache(maxsize=64)
def _names(language: str) -> dict[str, dict[str, str]]:
    with _archive("words.zip") as archive:
        return json.loads(archive.read(f"{language}.json"))


@lru_cache(1)
def _spoken() -> tuple[str, ...]:
    with _archive("words.zip") as archive:
        return tuple(sorted(name.removesuffix(".json") for name in archive.namelist()))


@lru_cache(1)
def _lexicons() -> tuple[Path, ...]:
    return tuple(sorted(_LEXICON.glob("??.txt")))


@lru_cache(maxsize=32)
def _lexicon(language: str) -> Table:
    """Return a language file's entries: colors, counts, relations, places and more."""
    table: Table = {}
    endings = [""]
    path = _LEXICON / f"{language}.txt"
    for line in _lines(path) if path.exists() else ():
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
    return table


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

"""Looks up words: icons by name in many languages, colors, counts, places and more."""

import gzip
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TypedDict

from safelight.providers.local.sketch import words

_HERE = Path(__file__).parent
_DATA = _HERE / "data"
_LEXICON = _HERE / "lexicon"
_EMOJI_FILE = "emoji.json"
_MAX_PHRASE = 4
_SAMPLE = 400  # words, and their characters, that identify a language
_LONGEST_WORD = 14  # characters, in a script without spaces
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
_AND = "\u0648\u05d5"  # Arabic, Hebrew
# Articles and short words that Arabic and Hebrew write together with the next word.
_PREFIXES = (
    (re.compile("[\u0620-\u06ff]"), "بال ال لل ب ل"),
    (re.compile("[\u05d0-\u05ea]"), "שה ה ב ל מ ש"),
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """Meaning of a phrase: a kind such as `icon`, `color` or `place`, and a value."""

    kind: str
    value: str
    plural: bool = False
    phrase: str = ""


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
    tokens = list(_spelled(words.split(text)))
    languages = _languages(tokens)
    found = _read(tokens, _table(languages, tags=False))
    if any(meaning and meaning.kind == "icon" for meaning in found):
        return found
    return _read(tokens, _table(languages, tags=True))


def _spelled(tokens: list[str]) -> Iterator[str]:
    """Yield the words with each emoji as a word: its own if it has an icon, else its name.

    An emoji that is repeated is preceded by its count.
    """
    for token, same in groupby(tokens):
        count = len(list(same))
        if not words.is_emoji(token):
            yield from [token] * count
            continue
        if count > 1:
            yield str(count)
        plain = words.plain_emoji(token)
        parts = [plain] if plain in _emoji() else plain.split("\u200d")[:1]
        for part in parts:
            icon, name = _emoji().get(part, ("", part))
            yield from [part] if icon else words.split(name)


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
        phrase = " ".join(parts[at : at + length])
        meaning = _look_up(phrase, table)
        if meaning is not None:
            return replace(meaning, phrase=phrase), length
    return Meaning("unknown", parts[at], phrase=parts[at]), 1


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
            if part in own or any(form in own for form in _bare_forms(part))
        )
    most = max(spoken.values())
    if not most:
        return ("en", *sorted({*_spoken(), *spoken}))
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
    return next((table[form] for form in _bare_forms(phrase) if form in table), None)


def _forms(phrase: str) -> list[str]:
    """Return a phrase and its likely singulars."""
    forms = [phrase]
    if len(phrase) > 3 and phrase.isascii():  # noqa: PLR2004  shorter words have no plural
        for ending, singular in (("ies", "y"), ("ves", "f"), ("es", ""), ("s", ""), ("n", "")):
            if phrase.endswith(ending):
                forms.append(phrase.removesuffix(ending) + singular)
    return forms


def _bare_forms(phrase: str) -> Iterator[str]:
    """Yield an Arabic or Hebrew phrase without what may be written together with it."""
    for script, prefixes in _PREFIXES:
        if script.match(phrase):
            for prefix in prefixes.split():
                if phrase.startswith(prefix) and len(phrase) > len(prefix) + 1:
                    yield phrase.removeprefix(prefix)


def _cut(word: str, table: Table) -> list[str]:
    """Cut a run of a script without spaces into the longest known words, and what is between.

    An "and" that is written together with its word is cut off as well.
    """
    if word[0] in _AND and word not in table:
        rest = word[1:]
        if rest in table or any(form in table for form in _bare_forms(rest)):
            return [word[0], rest]
    if not _UNSPACED.search(word):
        return [word]
    parts: list[str] = []
    at = begin = 0  # where the next word may begin, and where what is unknown begins
    while at < len(word):
        for end in range(min(len(word), at + _LONGEST_WORD), at, -1):
            if word[at:end] in table:
                parts += [word[begin:at]] if at > begin else []
                parts.append(word[at:end])
                at = begin = end
                break
        else:
            at += 1
    return [*parts, word[begin:]] if at > begin else parts


@lru_cache(maxsize=32)
def _table(languages: tuple[str, ...], *, tags: bool) -> Table:
    """Return the phrases of some languages, and of English as a fallback."""
    table: Table = {_key(phrase): Meaning("style", "") for phrase in _styles()}
    for emoji, (icon, _) in _emoji().items():
        if icon:
            table[emoji] = Meaning("icon", icon)
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


@lru_cache(1)
def _styles() -> tuple[str, ...]:
    """Return the ways of drawing, and the artists, that no icon stands for."""
    lines = _lines(_LEXICON / "styles.txt")
    return tuple(phrase.strip() for line in lines for phrase in line.split(","))


@lru_cache(1)
def _emoji() -> dict[str, tuple[str, str]]:
    """Return icon and English name of each emoji; the icon is empty if it has none."""
    with _archive("words.zip") as archive:
        found = json.loads(archive.read(_EMOJI_FILE))
    return {emoji: (icon, name) for emoji, (icon, name) in found.items()}


@lru_cache(maxsize=64)
def _names(language: str) -> dict[str, dict[str, str]]:
    if language not in _spoken():  # its nouns are in its lexicon
        return {"labels": {}, "tags": {}}
    with _archive("words.zip") as archive:
        return json.loads(archive.read(f"{language}.json"))


@lru_cache(1)
def _spoken() -> tuple[str, ...]:
    with _archive("words.zip") as archive:
        languages = set(archive.namelist()) - {_EMOJI_FILE}
        return tuple(sorted(name.removesuffix(".json") for name in languages))


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

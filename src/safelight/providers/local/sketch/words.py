"""Normalizes text for comparison, and splits it into words."""

import re
import unicodedata

MAX_CHARACTERS = 20_000

_LATIN = re.compile(r"[a-z\u00c0-\u024f\u1e00-\u1eff]", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)*|[.,;:!?\u3001\u3002\uff0c\uff01\uff1f|\n]")
_PAUSE = frozenset(".,;:!?\u3001\u3002\uff0c\uff01\uff1f|\n")


def fold(text: str) -> str:
    """Return `text` in lower case, without accents if the script is Latin.

    Marks of other scripts carry meaning (Cyrillic й, Japanese が), so they stay.
    """
    kept: list[str] = []
    base_is_latin = False
    for character in unicodedata.normalize("NFD", text.casefold()):
        if unicodedata.category(character) != "Mn":
            base_is_latin = _LATIN.match(character) is not None
        elif base_is_latin:
            continue
        kept.append(character)
    return unicodedata.normalize("NFKC", "".join(kept)).replace("\u2019", "'")


def split(text: str) -> list[str]:
    """Return the folded words of `text`; each pause becomes a mark of its own."""
    return _WORD.findall(fold(text[:MAX_CHARACTERS]))


def is_pause(word: str) -> bool:
    return word in _PAUSE

"""Normalizes text for comparison, and splits it into words."""

import re
import unicodedata

MAX_CHARACTERS = 20_000

# Letters that keep their meaning without marks: Latin, Hebrew and Arabic.
_BARE = re.compile(r"[a-z\u00c0-\u024f\u1e00-\u1eff\u05d0-\u05ea\u0620-\u06ff]", re.IGNORECASE)
_MARKS = (  # the vowels of Indic scripts and Thai, which belong to their words
    r"\u0591-\u05c7\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963\u0980-\u0983"
    r"\u09bc-\u09cd\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
)
_PICTURE = r"[\u231a-\u23ff\u2600-\u27bf\u2b05-\u2b55\U0001f300-\U0001faff]"
_LOOK = r"[\ufe0f\U0001f3fb-\U0001f3ff]"  # color or text, and skin tones
_EMOJI = rf"[\U0001f1e6-\U0001f1ff]{{2}}|{_PICTURE}{_LOOK}*(?:\u200d{_PICTURE}{_LOOK}*)*"
_PAUSES = r".,;:!?\u060c\u061f\u0964\u3001\u3002\uff0c\uff01\uff1f|\n"
_WORD = re.compile(rf"{_EMOJI}|[^\W_](?:[^\W_]|[{_MARKS}])*(?:['\u2019][^\W\d_]+)*|[{_PAUSES}]")
_IS_EMOJI = re.compile(_EMOJI)
_IS_PAUSE = re.compile(f"[{_PAUSES}]")


def fold(text: str) -> str:
    """Return `text` in lower case, without the accents of Latin and the points of Semitic scripts.

    Marks of other scripts carry meaning (Cyrillic й, Japanese が), so they stay.
    """
    kept: list[str] = []
    is_bare = False
    for character in unicodedata.normalize("NFD", text.casefold()):
        if unicodedata.category(character) != "Mn":
            is_bare = _BARE.match(character) is not None
        elif is_bare:
            continue
        kept.append(character)
    return unicodedata.normalize("NFKC", "".join(kept)).replace("\u2019", "'")


def split(text: str) -> list[str]:
    """Return the folded words of `text`; each pause becomes a mark of its own."""
    return _WORD.findall(fold(text[:MAX_CHARACTERS]))


def is_pause(word: str) -> bool:
    return _IS_PAUSE.fullmatch(word) is not None


def is_emoji(word: str) -> bool:
    return _IS_EMOJI.fullmatch(word) is not None


def plain_emoji(emoji: str) -> str:
    """Return an emoji without its look: skin tone, and color or text."""
    return re.sub(_LOOK, "", emoji)

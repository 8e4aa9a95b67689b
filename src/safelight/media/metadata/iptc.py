"""Extracts common IPTC (IIM) fields, bounded and sanitized; never the location.

Structure: IPTC-NAA Information Interchange Model 4.2, inside Photoshop resources or bare.
"""

from collections.abc import Iterator

from safelight.media.facts import Described

_PHOTOSHOP = b"Photoshop 3.0\0"
_RESOURCE = b"8BIM"
_IPTC_RESOURCE = 0x0404
_MARK = 0x1C
_HEAD = 5  # mark, record, data set, two bytes of length
_LONG = 0x8000  # an extended length; no field of interest is that long
_MAX_BYTES = 256 * 1024
_MAX_ENTRIES = 1000
_MAX_CHARS = 2000
_MAX_WORDS, _MAX_WORD_CHARS = 100, 200

_UTF8 = b"\x1b%G"
_CHARSET = (1, 90)
_NAMES = {
    5: "title",
    55: "date_created",
    80: "byline",
    105: "headline",
    110: "credit",
    115: "source",
    116: "copyright",
    120: "caption",
}
_KEYWORD = 25
_PLACES = frozenset({90, 92, 95, 100, 101})  # city, sublocation, state, country code, country


def read(data: bytes) -> tuple[Described, bool]:
    """Return the fields in `data`, and whether it names a place; skips malformed entries."""
    facts: dict[str, str | int | float | list[str]] = {}
    keywords: list[str] = []
    has_place = False
    encoding = "latin-1"
    for record, number, value in _entries(_iim(data[:_MAX_BYTES])):
        if (record, number) == _CHARSET and value == _UTF8:
            encoding = "utf-8"
        if record != 2:  # noqa: PLR2004  the application record
            continue
        has_place = has_place or (number in _PLACES and bool(value.strip(b" \0")))
        text = _text(value, encoding)
        if number == _KEYWORD and text and len(keywords) < _MAX_WORDS:
            keywords.append(text[:_MAX_WORD_CHARS])
        elif number in _NAMES and text:
            facts.setdefault(_NAMES[number], text)
    if keywords:
        facts["keywords"] = keywords
    return facts, has_place


def _iim(data: bytes) -> bytes:
    """Return the IPTC records, unwrapped from Photoshop resources if necessary."""
    data = data.removeprefix(_PHOTOSHOP)
    offset = 0
    while data[offset : offset + 4] == _RESOURCE:
        kind = int.from_bytes(data[offset + 4 : offset + 6], "big")
        name = data[offset + 6] + 1 if offset + 6 < len(data) else 1
        at = offset + 6 + name + name % 2
        size = int.from_bytes(data[at : at + 4], "big")
        if kind == _IPTC_RESOURCE:
            return data[at + 4 : at + 4 + size]
        offset = at + 4 + size + size % 2
    return data if offset == 0 else b""


def _entries(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    for _ in range(_MAX_ENTRIES):
        head = data[offset : offset + _HEAD]
        if len(head) < _HEAD or head[0] != _MARK:
            return
        size = int.from_bytes(head[3:], "big")
        end = offset + _HEAD + size
        if size & _LONG or end > len(data):
            return
        yield head[1], head[2], data[offset + _HEAD : end]
        offset = end


def _text(value: bytes, encoding: str) -> str:
    try:
        text = value.decode("utf-8")  # many writers use it undeclared
    except UnicodeDecodeError:
        text = value.decode(encoding, errors="ignore")
    legible = "".join(character for character in text if character.isprintable())
    return legible.strip()[:_MAX_CHARS]

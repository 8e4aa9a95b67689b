"""Extracts common XMP fields, bounded and sanitized; never the location.

Structure: ISO 16684-1. A packet with a declaration is rejected: XML attacks are built from
entities, and XMP needs none.
"""

from collections.abc import Iterator
from xml.etree import ElementTree

from safelight.media.facts import Described

_MAX_BYTES = 256 * 1024
_MAX_CHARS = 2000
_MAX_WORDS, _MAX_WORD_CHARS = 100, 200
_DECLARATION = "<!"

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_IPTC = "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}"
_IPTC_MORE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

_TEXTS = {
    _DC + "title": "title",
    _DC + "description": "description",
    _DC + "rights": "rights",
    _XMP + "CreatorTool": "creator_tool",
    _XMP + "CreateDate": "create_date",
    _PHOTOSHOP + "Headline": "headline",
    _PHOTOSHOP + "Credit": "credit",
    _PHOTOSHOP + "Source": "source",
}
_LISTS = {_DC + "creator": "creator", _DC + "subject": "subject"}
_RATING = _XMP + "Rating"
_PLACES = frozenset(
    {
        _EXIF + "GPSLatitude",
        _PHOTOSHOP + "City",
        _PHOTOSHOP + "State",
        _PHOTOSHOP + "Country",
        _IPTC + "Location",
        _IPTC + "CountryCode",
        _IPTC_MORE + "LocationShown",
        _IPTC_MORE + "LocationCreated",
    }
)


def read(packet: bytes) -> tuple[Described, bool]:
    """Return the fields in `packet`, and whether it names a place; nothing if it is malformed."""
    root = _parsed(packet)
    facts: dict[str, str | int | float | list[str]] = {}
    if root is None:
        return facts, False
    has_place = False
    for name, texts in _properties(root):
        has_place = has_place or name in _PLACES
        if name in _TEXTS and texts:
            facts.setdefault(_TEXTS[name], texts[0])
        elif name in _LISTS and texts:
            words = [text[:_MAX_WORD_CHARS] for text in texts[:_MAX_WORDS]]
            facts.setdefault(_LISTS[name], words)
        elif name == _RATING and texts and (rating := _number(texts[0])) is not None:
            facts.setdefault("rating", rating)
    return facts, has_place


def _parsed(packet: bytes) -> ElementTree.Element | None:
    if len(packet) > _MAX_BYTES:
        return None
    try:
        text = packet.decode("utf-8-sig").strip("\0 \r\n\t")
        if _DECLARATION in text:
            return None
        return ElementTree.fromstring(text)  # noqa: S314  see above
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        return None


def _properties(root: ElementTree.Element) -> Iterator[tuple[str, list[str]]]:
    """Yield each property's name and texts, for attributes and elements alike."""
    top = next(root.iter(_RDF + "RDF"), root)
    for described in top.findall(_RDF + "Description"):
        for name, value in described.attrib.items():
            yield name, _cleaned([value])
        for child in described:
            yield child.tag, _texts(child)


def _texts(element: ElementTree.Element) -> list[str]:
    items = list(element.iter(_RDF + "li"))
    # Among language alternatives, the default comes first.
    items.sort(key=lambda item: item.get(_LANGUAGE) != "x-default")
    return _cleaned([item.text or "" for item in items] if items else [element.text or ""])


def _cleaned(texts: list[str]) -> list[str]:
    legible = ("".join(filter(str.isprintable, " ".join(text.split()))) for text in texts)
    return [text[:_MAX_CHARS] for text in legible if text]


def _number(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not -1 <= number <= 5:  # noqa: PLR2004  the range in the standard
        return None
    return int(number) if number.is_integer() else number

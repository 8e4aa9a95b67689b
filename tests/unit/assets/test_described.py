"""Descriptions from IPTC and XMP, the parts left out, and hostile ones."""

from pathlib import Path

import pytest

from safelight.media.metadata import iptc, xmp
from safelight.media.pictures.inspect import Facts, InspectRules, inspect
from tests import pictures

_RECORDS = {
    (2, 5): ["Boats"],
    (2, 25): ["harbour", "wood"],
    (2, 55): ["20261122"],
    (2, 80): ["Ann Other"],
    (2, 105): ["At \u00d8resund"],
    (2, 110): ["The Agency"],
    (2, 115): ["Film"],
    (2, 116): ["(c) Ann"],
    (2, 120): ["Two boats\u0007."],
}
_PLACES = {(2, 90): ["Malm\u00f6"], (2, 101): ["Sweden"]}

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/">
<rdf:Description xmp:CreatorTool="Darkroom 3" xmp:Rating="4" photoshop:Credit="The Agency" {more}>
 <dc:title><rdf:Alt><rdf:li xml:lang="sv">B\u00e5tar</rdf:li>
  <rdf:li xml:lang="x-default">Boats</rdf:li></rdf:Alt></dc:title>
 <dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Ben</rdf:li></rdf:Seq></dc:creator>
 <dc:subject><rdf:Bag><rdf:li>harbour</rdf:li><rdf:li>wood</rdf:li></rdf:Bag></dc:subject>
 <xmp:CreateDate>2026-11-22T10:00:00+01:00</xmp:CreateDate>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def records(texts: dict[tuple[int, int], list[str]], encoding: str = "utf-8") -> bytes:
    data = b"\x1c\x01\x5a\x00\x03\x1b%G" if encoding == "utf-8" else b""
    for (record, number), values in texts.items():
        for value in values:
            coded = value.encode(encoding)
            data += bytes([0x1C, record, number]) + len(coded).to_bytes(2, "big") + coded
    return data


def resources(data: bytes) -> bytes:
    padding = b"\0" * (len(data) % 2)
    named = b"8BIM\x03\xed\x03abc\0\0\0\x01x\0"
    return (
        b"Photoshop 3.0\0"
        + named
        + b"8BIM\x04\x04\0\0"
        + len(data).to_bytes(4, "big")
        + data
        + padding
    )


def packet(more: str = "") -> bytes:
    return _PACKET.format(more=more).encode()


def facts_of(data: bytes, folder: Path) -> Facts:
    path = folder / "picture"
    path.write_bytes(data)
    return inspect(path, InspectRules())


def jpeg_with_both(more: str = "") -> bytes:
    jpeg = pictures.with_segment(
        pictures.picture("jpeg"), b"http://ns.adobe.com/xap/1.0/\0" + packet(more), 0xE1
    )
    return pictures.with_segment(jpeg, resources(records(_RECORDS)), 0xED)


def test_inspect_when_a_jpeg_has_iptc_and_xmp_then_tells_both(tmp_path: Path) -> None:
    facts = facts_of(jpeg_with_both(), tmp_path)
    document = facts.document()
    assert document["iptc"] == {
        "title": "Boats",
        "date_created": "20261122",
        "byline": "Ann Other",
        "headline": "At \u00d8resund",
        "credit": "The Agency",
        "source": "Film",
        "copyright": "(c) Ann",
        "caption": "Two boats.",
        "keywords": ["harbour", "wood"],
    }
    assert document["xmp"] == {
        "creator_tool": "Darkroom 3",
        "rating": 4,
        "credit": "The Agency",
        "title": "Boats",
        "creator": ["Ann", "Ben"],
        "subject": ["harbour", "wood"],
        "create_date": "2026-11-22T10:00:00+01:00",
    }
    assert not facts.has_location


def test_inspect_when_there_is_neither_then_names_neither(tmp_path: Path) -> None:
    assert not {"iptc", "xmp"} & facts_of(pictures.picture(), tmp_path).document().keys()


@pytest.mark.parametrize("more", ['exif:GPSLatitude="52,3N"', 'photoshop:City="Berlin"'])
def test_inspect_when_xmp_names_a_place_then_says_only_that(more: str, tmp_path: Path) -> None:
    facts = facts_of(jpeg_with_both(more), tmp_path)
    assert facts.has_location
    assert "52,3" not in str(facts.document())
    assert "Berlin" not in str(facts.document())


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_iptc_when_it_names_a_place_then_says_only_that(encoding: str) -> None:
    facts, has_place = iptc.read(records(_RECORDS | _PLACES, encoding))
    assert has_place
    assert facts["headline"] == "At \u00d8resund"
    assert "Malm" not in str(facts)


def test_iptc_when_cut_anywhere_then_tells_what_is_whole() -> None:
    data = resources(records(_RECORDS))
    told = [len(iptc.read(data[:keep])[0]) for keep in range(len(data))]
    assert told == sorted(told)
    assert told[-1] >= 8


def test_iptc_when_endless_then_is_bounded() -> None:
    words = {(2, 25): ["x" * 5000] * 40 + ["y"] * 3000}
    facts, _ = iptc.read(records(words))
    keywords = facts["keywords"]
    assert isinstance(keywords, list)
    assert len(keywords) <= 100
    assert max(map(len, keywords)) == 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe" + _PACKET.encode("utf-16-le"),
        packet()[:-100],
        packet() + b" " * 2**18,
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + packet(),
        packet().replace(b"Ben", b"<![CDATA[Ben]]>"),
        b"<a>" * 20_000 + b"</a>" * 20_000,
    ],
    ids=["empty", "utf-16", "cut", "too long", "declaration", "cdata", "deep"],
)
@pytest.mark.timeout(20)  # it takes milliseconds, unless it hangs
def test_xmp_when_broken_or_hostile_then_is_left_out(data: bytes) -> None:
    assert xmp.read(data) == ({}, False)


@pytest.mark.parametrize("rating", ["nan", "inf", "9", "many"])
def test_xmp_when_the_rating_is_none_then_is_left_out(rating: str) -> None:
    facts, _ = xmp.read(packet().replace(b'Rating="4"', f'Rating="{rating}"'.encode()))
    assert "rating" not in facts

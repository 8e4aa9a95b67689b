"""The words that index an asset: its text, and a term for each fact.

A filter such as a tag or a width becomes a term too, so that one index answers every combination of
filters and text at the cost of its rarest word. A term starts with `x` and a letter for its field;
free or long text in it is hashed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from safelight.assets.asset import Asset
from safelight.assets.index.words import MAX_WORDS, TextQuery, words
from safelight.assets.keys import EXTENSIONS

_HASH_CHARS = 10
_CHUNK = 4  # hex digits of a perceptual hash in one term
_TEXT_FACTS = ("exif", "iptc", "xmp")
_LAST_CLASS = 14  # of size classes: 8192 pixels and more
_NOTHING = "xnothing"  # no asset has it


@dataclass(frozen=True, slots=True)
class Filter:
    """Search criteria; None or empty means any. Sizes are in pixels, inclusive.

    `format` is the short name of the public copy's format (`jpeg`, `png`, `glb`), `host` the host a
    picture was imported from, or a parent domain. `created_before` is exclusive.
    """

    text: TextQuery = field(default_factory=TextQuery)
    kind: str | None = None
    format: str | None = None
    tags: tuple[str, ...] = ()
    host: str | None = None
    job_id: str | None = None
    external_id: str | None = None
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


def format_name(media_type: str) -> str:
    """Return the short name of a format for filters: `jpeg` for `image/jpeg`."""
    if media_type == "model/gltf-binary":
        return EXTENSIONS[media_type]
    return media_type.partition("/")[2]


def words_of(asset: Asset) -> str:
    """Return all words and terms of an asset, separated by spaces."""
    text = islice(_text_words(asset), MAX_WORDS)
    return " ".join((*_terms_of(asset), *text))


def account(account_id: str) -> str:
    """Return the term for an account."""
    return _exact("a", account_id)


def alternatives(wanted: Filter) -> list[list[str]]:
    """Return the terms of a filter: an asset must match one of each list.

    Sizes are matched only roughly, and times not at all; conditions on the rows do the rest.
    """
    exact = (
        ("f", wanted.format and wanted.format.lower()),
        ("h", wanted.host and wanted.host.lower().strip(".")),
        ("j", wanted.job_id),
        ("e", wanted.external_id),
        *(("t", tag.casefold()) for tag in wanted.tags),
    )
    found = [[_exact(letter, value)] for letter, value in exact if value]
    if wanted.kind:
        found.append([_kind(wanted.kind)])
    found += _sizes("w", wanted.min_width, wanted.max_width)
    return found + _sizes("g", wanted.min_height, wanted.max_height)


def look_alikes(perceptual_hash: str) -> list[str]:
    """Return terms of which every hash within 7 bits has at least one.

    One of the four 16-bit chunks differs by at most one bit (Norouzi et al., Fast Search in Hamming
    Space with Multi-Index Hashing). Uniform chunks, which very many pictures share, are skipped
    unless all are uniform; some hashes that differ by 4 bits may then be missed.
    """
    chunks = _chunks(perceptual_hash)
    telling = [(place, chunk) for place, chunk in chunks if chunk not in (0, 0xFFFF)] or chunks
    return [
        _chunk_term(place, chunk ^ flipped)
        for place, chunk in telling
        for flipped in (0, *(1 << bit for bit in range(4 * _CHUNK)))
    ]


def _text_words(asset: Asset) -> Iterator[str]:
    texts = [asset.name, asset.caption, asset.prompt, *asset.tags, asset.model, asset.external_id]
    for text in (*texts, *_leaves([asset.facts.get(name) for name in _TEXT_FACTS])):
        yield from words(text)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _leaves(inner)


def _terms_of(asset: Asset) -> Iterator[str]:
    yield account(asset.account_id)
    yield _kind(asset.kind)
    yield _exact("f", format_name(asset.media_type))
    for tag in asset.tags:
        yield _exact("t", tag.casefold())
    for host in _domains(asset.source_host):
        yield _exact("h", host)
    if asset.job_id:
        yield _exact("j", asset.job_id)
    if asset.external_id:
        yield _exact("e", asset.external_id)
    if asset.width and asset.height:
        yield f"xw{_class(asset.width)}"
        yield f"xg{_class(asset.height)}"
    if asset.perceptual_hash:
        for place, chunk in _chunks(asset.perceptual_hash):
            yield _chunk_term(place, chunk)


def _kind(kind: str) -> str:
    return "xk" + kind.replace("_", "")


def _domains(host: str) -> Iterator[str]:
    """Yield a host and its parent domains, except the top-level domain."""
    labels = host.split(".")
    yield from (".".join(labels[start:]) for start in range(max(len(labels) - 1, 1)) if host)


def _sizes(letter: str, least: int | None, most: int | None) -> list[list[str]]:
    if least is None and most is None:
        return []
    classes = range(_class(least or 0), (_LAST_CLASS if most is None else _class(most)) + 1)
    return [[f"x{letter}{bits}" for bits in classes] or [_NOTHING]]


def _class(pixels: int) -> int:
    return min(pixels.bit_length(), _LAST_CLASS)


def _chunks(perceptual_hash: str) -> list[tuple[int, int]]:
    return [
        (place // _CHUNK, int(perceptual_hash[place : place + _CHUNK], 16))
        for place in range(0, len(perceptual_hash), _CHUNK)
    ]


def _chunk_term(place: int, chunk: int) -> str:
    return f"xp{place}{chunk:04x}"


def _exact(letter: str, value: str) -> str:
    return f"x{letter}{_hashed(value)}"


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_HASH_CHARS]

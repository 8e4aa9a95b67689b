"""Assets are indexed by the terms that filters ask for."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.assets.asset import Asset, AssetKind
from safelight.assets.index import terms
from safelight.assets.index.terms import Filter

MADE = datetime(2026, 3, 14, 23, 30, tzinfo=UTC)


def asset(**changes: Any) -> Asset:
    fields: dict[str, Any] = {
        "id": "ast_1",
        "number": 1,
        "account_id": "acc_1",
        "job_id": "job_1",
        "position": 0,
        "kind": AssetKind.IMAGE,
        "name": "beach.jpg",
        "caption": "",
        "external_id": "SKU-7",
        "tags": ["Summer Sale"],
        "metadata": {},
        "key": None,
        "original_key": "x",
        "media_type": "image/jpeg",
        "bytes": 1,
        "width": 4000,
        "height": 3000,
        "sha256": "00",
        "placeholder": None,
        "perceptual_hash": "0123456789abcdef",
        "facts": {"exif": {"Make": "Canon"}, "iptc": {"keywords": ["Ocean"]}, "depth": 8},
        "renditions": {},
        "source_url": "https://cdn.shop.example.com/beach.jpg",
        "source_host": "cdn.shop.example.com",
        "prompt": "",
        "model": "link",
        "provider": "link",
        "created_at": MADE,
        "expires_at": None,
        "hold": "",
        "seq": 1,
    }
    return Asset(**fields | changes)


def finds(wanted: Filter, found: Asset) -> bool:
    has = set(terms.words_of(found).split())
    return all(has & set(each) for each in terms.alternatives(wanted))


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(kind="image"),
        Filter(format="jpeg"),
        Filter(format="JPEG"),
        Filter(tags=("summer sale",)),
        Filter(host="cdn.shop.example.com"),
        Filter(host="example.com"),
        Filter(host="Example.COM."),
        Filter(job_id="job_1"),
        Filter(external_id="SKU-7"),
        Filter(min_width=4000),
        Filter(max_width=4000),
        Filter(min_width=10, max_height=3000),
    ],
)
def test_filter_when_it_fits_finds_the_asset(wanted: Filter) -> None:
    assert finds(wanted, asset())


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(kind="model_3d"),
        Filter(format="png"),
        Filter(tags=("summer sale", "winter")),
        Filter(tags=("summer",)),
        Filter(host="com"),
        Filter(host="ample.com"),
        Filter(job_id="job_2"),
        Filter(external_id="sku-7"),
        Filter(min_width=5000),
        Filter(max_height=1024),
    ],
)
def test_filter_when_it_does_not_fit_finds_nothing(wanted: Filter) -> None:
    assert not finds(wanted, asset())


def test_text_when_it_is_in_name_caption_prompt_tags_or_facts_is_among_the_words() -> None:
    has = terms.words_of(asset(caption="Waves at dawn", prompt="a lighthouse")).split()
    for word in ("beach", "wave", "dawn", "lighthous", "summer", "canon", "ocean", "sku"):
        assert word in has
    assert "8" not in has, "numbers among the facts are no text"


def test_model_when_a_3d_file_is_found_by_its_format_name() -> None:
    model = asset(kind=AssetKind.MODEL_3D, media_type="model/gltf-binary", perceptual_hash=None)
    assert finds(Filter(kind="model_3d", format="glb"), model)


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=7))
def test_look_alikes_when_at_most_seven_bits_differ_share_a_term(
    mine: int, flipped: set[int]
) -> None:
    theirs = mine
    for bit in flipped:
        theirs ^= 1 << bit
    has = set(terms.words_of(asset(perceptual_hash=f"{theirs:016x}")).split())
    wanted = terms.look_alikes(f"{mine:016x}")
    chunks = {mine >> shift & 0xFFFF for shift in (0, 16, 32, 48)}
    if chunks & {0, 0xFFFF}:
        return  # of one tone in part: that part is not asked for
    assert has & set(wanted)

"""Assets are found by what they are and what is said of them, only by their owner, in pages."""

from datetime import timedelta
from typing import Any

import pytest

from safelight.assets import search
from safelight.assets.asset import Asset
from safelight.assets.index.terms import Filter
from safelight.assets.index.words import parse
from safelight.assets.service import Assets
from safelight.db.engine import Database
from safelight.errors import NotFound
from tests import factories


async def names(assets: Assets, account: str, query: str = "", **wanted: Any) -> list[str]:
    chosen = Filter(text=parse(query), **wanted)
    return [asset.name for asset in await assets.page(account, chosen, before=None, limit=50)]


@pytest.fixture
async def shelf(database: Database, account: str) -> dict[str, Asset]:
    """A few pictures, oldest first."""
    said: list[dict[str, Any]] = [
        {"name": "cat.jpg", "prompt": "A red cat playing guitar", "tags": ["Pets", "music"]},
        {"name": "dog.png", "caption": "Hot dog stand", "media_type": "image/png"},
        {"name": "sea.webp", "facts": {"exif": {"Model": "EOS 5D"}}, "media_type": "image/webp"},
        {"name": "wide.jpg", "width": 8000, "height": 100, "external_id": "SKU-1"},
        {"name": "кот.jpg", "tags": ["pets"], "source_host": "img.example.com"},
    ]
    made = [await factories.keep(database, account, **each) for each in said]
    return {asset.name: asset for asset in made}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cats", ["cat.jpg"]),
        ("guitars red", ["cat.jpg"]),
        ('"red cat"', ["cat.jpg"]),
        ('"cat red"', []),
        ('"hot dogs"', ["dog.png"]),
        ("СОБАКА", []),
        ("кот", ["кот.jpg"]),
        ("ca*", ["cat.jpg"]),
        ("jpg -cat", ["кот.jpg", "wide.jpg"]),
        ("-jpg", ["sea.webp", "dog.png"]),
        ('jpg -"red cat" -sku', ["кот.jpg"]),
        ("eos", ["sea.webp"]),
        ("pets", ["кот.jpg", "cat.jpg"]),
        ("giraffe", []),
        ("\"' OR 1=1 --", []),
    ],
)
async def test_search_when_words_are_typed_finds_newest_first(
    assets: Assets, account: str, shelf: dict[str, Asset], query: str, found: list[str]
) -> None:
    assert await names(assets, account, query) == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"kind": "model_3d"}, []),
        ({"format": "png"}, ["dog.png"]),
        ({"tags": ("PETS",)}, ["кот.jpg", "cat.jpg"]),
        ({"tags": ("pets", "music")}, ["cat.jpg"]),
        ({"min_width": 7000}, ["wide.jpg"]),
        ({"max_height": 100}, ["wide.jpg"]),
        # Bounds within a size class, where only the row can tell.
        ({"min_width": 8001}, []),
        ({"max_width": 7999, "min_width": 5000}, []),
        ({"max_width": 639}, []),
        ({"max_width": 640, "min_width": 640}, ["кот.jpg", "sea.webp", "dog.png", "cat.jpg"]),
        ({"min_height": 101, "max_height": 127}, []),
        ({"min_height": 100, "max_height": 127}, ["wide.jpg"]),
        ({"min_height": 481}, []),
        ({"min_height": 480}, ["кот.jpg", "sea.webp", "dog.png", "cat.jpg"]),
        ({"max_height": 99}, []),
        ({"host": "example.com"}, ["кот.jpg"]),
        ({"external_id": "SKU-1"}, ["wide.jpg"]),
    ],
)
async def test_search_when_filtered_finds_what_fits(
    assets: Assets, account: str, shelf: dict[str, Asset], wanted: Any, found: list[str]
) -> None:
    assert await names(assets, account, **wanted) == found
    assert await names(assets, account, "jpg", **wanted) == [
        name for name in found if "jpg" in name
    ]


async def test_search_when_times_are_given_heeds_them_to_the_microsecond(
    assets: Assets, account: str, shelf: dict[str, Asset]
) -> None:
    instant, moment = shelf["sea.webp"].created_at, timedelta(microseconds=1)
    after = await names(assets, account, created_after=instant)
    before = await names(assets, account, created_before=instant)
    assert sorted(after + before) == sorted(shelf)
    assert await names(assets, account, created_after=instant, created_before=instant + moment) == [
        "sea.webp"
    ]
    assert await names(assets, account, created_before=instant - timedelta(days=1)) == []


async def test_search_when_pages_are_turned_shows_each_once_while_new_ones_come(
    assets: Assets, database: Database, account: str
) -> None:
    made = [(await factories.keep(database, account, name=f"photo {n}")).id for n in range(7)]
    for wanted in (Filter(), Filter(text=parse("photo"))):
        seen: list[str] = []
        before: int | None = None
        while page := await assets.page(account, wanted, before=before, limit=3):
            seen += [asset.id for asset in page]
            before = page[-1].number
            await factories.keep(database, account, name="photo that is new")
        assert seen[-7:] == made[::-1]
        assert len(set(seen)) == len(seen)


async def test_search_when_another_account_asks_finds_nothing_of_mine(
    assets: Assets, database: Database, account: str, shelf: dict[str, Asset]
) -> None:
    other = await factories.new_account(database)
    # Words that spell another account's term open nothing.
    await factories.keep(database, other, name=" ".join(_terms_of(account)))
    for chosen in (account, other):
        assert await names(assets, chosen, "cats") == (["cat.jpg"] if chosen == account else [])
        for wanted in (Filter(), Filter(kind="image")):
            found = await assets.page(chosen, wanted, before=None, limit=50)
            assert {asset.account_id for asset in found} == {chosen}
    with pytest.raises(NotFound):
        await assets.change(other, shelf["cat.jpg"].id, {"name": "mine now"})


def _terms_of(account_id: str) -> list[str]:
    from safelight.assets.index import terms  # noqa: PLC0415  only here it matters how they are spelled

    return [terms.account(account_id), "xkimage"]


async def test_asset_when_changed_is_found_by_what_is_said_now(
    assets: Assets, account: str, shelf: dict[str, Asset]
) -> None:
    changed = await assets.change(
        account, shelf["cat.jpg"].id, {"caption": "A tiger", "tags": ["wild"], "name": "big.jpg"}
    )
    assert (changed.caption, changed.tags, changed.name) == ("A tiger", ["wild"], "big.jpg")
    assert await names(assets, account, "tiger") == ["big.jpg"]
    assert await names(assets, account, tags=("pets",)) == ["кот.jpg"]
    assert await names(assets, account, "guitar") == ["big.jpg"], "the prompt stays"


async def test_asset_when_deleted_is_found_no_more(
    assets: Assets, account: str, shelf: dict[str, Asset]
) -> None:
    await assets.delete(account, shelf["cat.jpg"].id, actor="key_1")
    assert await names(assets, account, "cats") == []
    assert "cat.jpg" not in await names(assets, account)
    with pytest.raises(NotFound):
        await assets.delete(account, shelf["cat.jpg"].id, actor="key_1")


async def test_facets_when_asked_for_count_what_matches(
    assets: Assets, account: str, shelf: dict[str, Asset]
) -> None:
    found = await assets.facets(account, Filter(text=parse("jpg")), ["format", "tag", "host"])
    assert found == search.Facets(
        counts={
            "format": [("jpeg", 3)],
            "tag": [("Pets", 1), ("music", 1), ("pets", 1)],
            "host": [("img.example.com", 1)],
        },
        counted=3,
        is_complete=True,
    )
    assert (await assets.facets(account, Filter(), ["kind"])).counts == {"kind": [("image", 5)]}


async def test_similar_when_hashes_are_near_are_nearest_first_and_the_account_s_own(
    assets: Assets, database: Database, account: str
) -> None:
    other = await factories.new_account(database)
    hashes = {
        "itself": "a1b2c3d4e5f60718",
        "one bit": "a1b2c3d4e5f60719",
        "seven bits": "a0b0c2d0e4f20710",
        "far": "5e4d3c2b1a09f8e7",
    }
    made = {
        name: await factories.keep(database, account, name=name, perceptual_hash=text)
        for name, text in hashes.items()
    }
    await factories.keep(database, other, perceptual_hash=hashes["one bit"])
    found = await assets.similar(account, made["itself"].id, distance=7, limit=10)
    assert [(asset.name, bits) for asset, bits in found] == [("one bit", 1), ("seven bits", 7)]
    found = await assets.similar(account, made["itself"].id, distance=0, limit=10)
    assert found == []

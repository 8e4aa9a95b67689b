"""Assets change who sees them: their objects move, nothing is lost, and nothing stays behind."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from safelight.accounts.account import Visibility
from safelight.assets import store
from safelight.assets.asset import Asset
from safelight.assets.derived import variant_store
from safelight.assets.derived.variant_store import Variant
from safelight.assets.errors import ShowsNothing
from safelight.assets.intake import Intake, Origin
from safelight.assets.lifecycle.rekey import Rekeyer
from safelight.assets.lifecycle.visibility import VisibilitySwitch
from safelight.assets.object_ledger import Note, note_all
from safelight.assets.service import Assets
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.storage.disk import DiskStorage
from safelight.storage.errors import StorageFailed
from tests import factories
from tests.pictures import picture

PUBLIC, PRIVATE = Visibility.PUBLIC, Visibility.PRIVATE


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 1100, 800))
    return path


@pytest.fixture
def showing(
    database: Database, storage: DiskStorage, assets: Assets, tmp_path: Path
) -> VisibilitySwitch:
    return VisibilitySwitch(database, assets, Rekeyer(database, storage, tmp_path))


@pytest.fixture
async def asset(intake: Intake, assets: Assets, account: str, photo: Path) -> Asset:
    return await assets.add(await intake.keep_picture(photo, Origin(account), sanitize=True))


def kept(tmp_path: Path) -> set[str]:
    root = tmp_path / "objects"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def content(tmp_path: Path, keys: Iterable[str]) -> list[bytes]:
    return [(tmp_path / "objects" / key).read_bytes() for key in keys]


async def test_change_when_made_private_moves_every_object_and_leaves_none(
    showing: VisibilitySwitch, asset: Asset, account: str, tmp_path: Path
) -> None:
    before = content(tmp_path, asset.shown_keys)
    hidden = await showing.change(account, asset.id, PRIVATE, actor="key_1")
    assert hidden.visibility is PRIVATE
    assert all(key.startswith("private/images/") for key in hidden.shown_keys)
    assert content(tmp_path, hidden.shown_keys) == before
    assert hidden.original_key == asset.original_key
    assert kept(tmp_path) == {*hidden.shown_keys, hidden.original_key}
    assert set(hidden.renditions) == set(asset.renditions)


async def test_change_when_made_public_again_has_other_addresses(
    showing: VisibilitySwitch, asset: Asset, account: str, tmp_path: Path
) -> None:
    await showing.change(account, asset.id, PRIVATE, actor="key_1")
    shown = await showing.change(account, asset.id, PUBLIC, actor="key_1")
    assert shown.visibility is PUBLIC
    assert not set(shown.shown_keys) & set(asset.shown_keys), "the old ones may be in caches"
    assert kept(tmp_path) == {*shown.shown_keys, shown.original_key}


async def test_change_when_it_is_so_already_does_nothing(
    showing: VisibilitySwitch, asset: Asset, account: str
) -> None:
    assert await showing.change(account, asset.id, PUBLIC, actor="key_1") == asset


async def test_change_when_the_original_is_what_is_shown_moves_it_too(
    showing: VisibilitySwitch,
    intake: Intake,
    assets: Assets,
    account: str,
    photo: Path,
    tmp_path: Path,
) -> None:
    made = await assets.add(await intake.keep_picture(photo, Origin(account), sanitize=False))
    assert made.original_key == made.key
    hidden = await showing.change(account, made.id, PRIVATE, actor="key_1")
    assert hidden.original_key == hidden.key
    assert kept(tmp_path) == set(hidden.shown_keys)


async def test_change_when_something_was_made_of_it_that_goes(
    showing: VisibilitySwitch, asset: Asset, database: Database, storage: DiskStorage, photo: Path
) -> None:
    variant = await keep_variant(database, storage, asset, photo)
    await showing.change(asset.account_id, asset.id, PRIVATE, actor="key_1")
    assert await database.read(lambda tx: variant_store.get(tx, asset.id, variant.spec)) is None
    with pytest.raises(NotFound):
        await storage.head(variant.key)


async def test_variant_when_its_picture_moved_meanwhile_is_not_kept(
    showing: VisibilitySwitch, asset: Asset, database: Database, storage: DiskStorage, photo: Path
) -> None:
    await showing.change(asset.account_id, asset.id, PRIVATE, actor="key_1")
    with pytest.raises(AssertionError):
        await keep_variant(database, storage, asset, photo)


async def keep_variant(
    database: Database, storage: DiskStorage, asset: Asset, photo: Path
) -> Variant:
    """Keep something as made of what the asset showed at first."""
    variant = Variant(asset.id, "w=10", f"renditions/{asset.id}/x.jpg", "image/jpeg", 10, 10, 1)
    note = Note("ast_variant", asset.account_id, [variant.key])
    await database.write(lambda tx: note_all(tx, [note]))
    await storage.put(variant.key, photo)
    source = asset.key or ""
    kept = await database.write(
        lambda tx: variant_store.keep(tx, variant, note.asset_id, source=source)
    )
    assert kept == variant
    return variant


async def test_change_when_several_ask_at_once_ends_in_one_place(
    showing: VisibilitySwitch,
    asset: Asset,
    account: str,
    assets: Assets,
    database: Database,
    tmp_path: Path,
) -> None:
    found = await asyncio.gather(
        *(showing.change(account, asset.id, PRIVATE, actor="key_1") for _ in range(4))
    )
    assert {each.visibility for each in found} == {PRIVATE}
    now_there = await assets.get(account, asset.id)
    assert now_there.visibility is PRIVATE
    await factories.sweep_later(database, assets)
    assert kept(tmp_path) == {*now_there.shown_keys, now_there.original_key}


async def test_change_when_storage_fails_on_the_way_leaves_it_as_it_was(
    database: Database, assets: Assets, asset: Asset, account: str, tmp_path: Path
) -> None:
    full = factories.FullStorage(tmp_path / "objects")
    showing = VisibilitySwitch(database, assets, Rekeyer(database, full, tmp_path))
    with pytest.raises(StorageFailed):
        await showing.change(account, asset.id, PRIVATE, actor="key_1")
    assert await assets.get(account, asset.id) == asset
    await factories.sweep_later(database, assets)
    assert kept(tmp_path) == {*asset.shown_keys, asset.original_key}


async def test_change_when_it_is_anothers_is_refused(
    showing: VisibilitySwitch, asset: Asset
) -> None:
    with pytest.raises(NotFound):
        await showing.change("acc_other", asset.id, PRIVATE, actor="key_1")


async def test_change_when_it_shows_nothing_is_refused(
    showing: VisibilitySwitch, intake: Intake, database: Database, account: str, photo: Path
) -> None:
    facts = await intake.inspect(photo, account)
    row = await intake.keep_private(photo, facts, "input.jpg", account)
    (kept,) = await database.write(lambda tx: store.insert(tx, [row]))
    with pytest.raises(ShowsNothing):
        await showing.change(account, kept.id, PRIVATE, actor="key_1")

"""Objects and rows keep in step: equal bytes once, no orphan left, no row without its bytes."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from safelight.assets import object_ledger, store
from safelight.assets.asset import Asset
from safelight.assets.errors import ObjectsSwept
from safelight.assets.intake import Intake, Origin
from safelight.assets.object_ledger import Note, Original
from safelight.assets.service import Assets
from safelight.cpu import CpuPool
from safelight.db.engine import Database
from safelight.db.tables import loose_objects, originals
from safelight.db.types import now
from safelight.media.pictures.inspect import InspectRules
from safelight.storage.disk import DiskStorage
from safelight.storage.errors import StorageFailed
from tests import factories
from tests.pictures import picture

LONG_AGO = now(-object_ledger.KEPT)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 300, 200))
    return path


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def objects(tmp_path: Path, folder: str = "") -> list[Path]:
    return [path for path in (tmp_path / "objects" / folder).rglob("*") if path.is_file()]


async def import_one(intake: Intake, assets: Assets, account: str, path: Path) -> Asset:
    return await assets.add(await intake.keep_picture(path, Origin(account), sanitize=True))


async def let_time_pass(database: Database) -> None:
    """Make all that is held or noted overdue."""
    await database.write(lambda tx: tx.execute(sa.update(loose_objects).values(until=LONG_AGO)))
    held = sa.update(originals).where(originals.c.held_until.is_not(None))
    await database.write(lambda tx: tx.execute(held.values(held_until=LONG_AGO)))


async def test_original_when_it_comes_often_is_kept_once_and_goes_with_the_last(
    intake: Intake, assets: Assets, database: Database, account: str, photo: Path, tmp_path: Path
) -> None:
    made = [await import_one(intake, assets, account, photo) for _ in range(3)]
    assert len({asset.original_key for asset in made}) == 1
    assert len({asset.key for asset in made}) == 3, "public copies are each one's own"
    await let_time_pass(database)
    for number, asset in enumerate(made, start=1):
        assert len(objects(tmp_path, "originals")) == 1
        await assets.delete(account, asset.id, actor="key_1")
        assert len(objects(tmp_path, "images")) == 3 * (3 - number)
    assert objects(tmp_path) == []
    assert await database.read(lambda tx: tx.scalars(sa.select(originals)).all()) == []


async def test_original_when_two_accounts_have_it_is_kept_for_each(
    intake: Intake, assets: Assets, database: Database, account: str, photo: Path, tmp_path: Path
) -> None:
    other = await factories.new_account(database)
    mine = await import_one(intake, assets, account, photo)
    theirs = await import_one(intake, assets, other, photo)
    await let_time_pass(database)
    await assets.delete(account, mine.id, actor="key_1")
    (left,) = objects(tmp_path, "originals")
    assert same(left, photo)
    assert theirs.original_key.endswith(left.name)


async def test_original_when_it_comes_while_the_last_is_deleted_is_there_afterwards(
    intake: Intake, assets: Assets, database: Database, account: str, photo: Path, tmp_path: Path
) -> None:
    for _ in range(5):
        first = await import_one(intake, assets, account, photo)
        await let_time_pass(database)
        second, _ = await asyncio.gather(
            import_one(intake, assets, account, photo),
            assets.delete(account, first.id, actor="key_1"),
        )
        copy = tmp_path / "copy"
        await assets.copy_original(second, copy)
        assert same(copy, photo)
        await let_time_pass(database)
        await assets.sweep()
        await assets.copy_original(second, copy)  # still: it is shown
        await assets.delete(account, second.id, actor="key_1")
    await let_time_pass(database)
    await assets.sweep()
    assert objects(tmp_path) == []


async def test_original_when_the_last_two_go_at_once_goes_too(
    intake: Intake, assets: Assets, database: Database, account: str, photo: Path, tmp_path: Path
) -> None:
    made = [await import_one(intake, assets, account, photo) for _ in range(2)]
    await let_time_pass(database)
    await asyncio.gather(*(assets.delete(account, asset.id, actor="key_1") for asset in made))
    await assets.sweep()
    assert objects(tmp_path) == []


async def test_objects_when_their_row_never_comes_are_swept_after_an_hour_and_not_before(
    intake: Intake, assets: Assets, database: Database, account: str, photo: Path, tmp_path: Path
) -> None:
    kept = await import_one(intake, assets, account, photo)
    await intake.keep_picture(photo, Origin(account), sanitize=True)  # here the process dies
    await assets.sweep()
    assert len(objects(tmp_path, "images")) == 6
    await let_time_pass(database)
    assert await assets.sweep() == 3
    assert len(objects(tmp_path, "images")) == 3
    assert len(objects(tmp_path, "originals")) == 1, "the other asset shows it"
    assert await assets.get(account, kept.id) == kept
    assert await database.read(lambda tx: tx.scalars(sa.select(loose_objects)).all()) == []


async def test_row_when_its_objects_were_swept_meanwhile_is_refused(
    intake: Intake, assets: Assets, database: Database, account: str, photo: Path
) -> None:
    late = await intake.keep_picture(photo, Origin(account), sanitize=True)
    await let_time_pass(database)
    await assets.sweep()
    with pytest.raises(ObjectsSwept):
        await assets.add(late)
    assert await database.read(lambda tx: store.get(tx, account, late["id"])) is None


async def test_sweep_when_storage_is_away_goes_on_where_it_ended(
    intake: Intake, database: Database, account: str, photo: Path, tmp_path: Path
) -> None:
    class Away(DiskStorage):
        async def delete(self, keys: Any) -> None:
            raise StorageFailed

    row = await intake.keep_picture(photo, Origin(account), sanitize=True)
    await let_time_pass(database)
    with pytest.raises(StorageFailed):
        await Assets(database, Away(tmp_path / "objects")).sweep()
    there = Assets(database, DiskStorage(tmp_path / "objects"))
    with pytest.raises(ObjectsSwept):
        await there.add(row)  # what has begun to go cannot be named again
    assert await there.sweep() == 4
    assert objects(tmp_path) == []


async def test_sweeps_when_several_run_at_once_remove_each_object_once(
    intake: Intake, assets: Assets, database: Database, account: str, photo: Path
) -> None:
    for _ in range(5):
        await intake.keep_picture(photo, Origin(account), sanitize=True)
    await let_time_pass(database)
    swept = await asyncio.gather(*(assets.sweep() for _ in range(4)))
    assert sum(swept) >= 5 * 3 + 1
    assert await database.read(lambda tx: tx.scalars(sa.select(loose_objects)).all()) == []


async def test_originals_when_policy_drops_them_leave_only_the_public_copy(
    database: Database,
    storage: DiskStorage,
    pool: Any,
    account: str,
    photo: Path,
    tmp_path: Path,
) -> None:
    intake = Intake(database, storage, pool, InspectRules(), keep_originals=False)
    assets = Assets(database, storage)
    asset = await import_one(intake, assets, account, photo)
    assert asset.original_key == asset.key
    assert objects(tmp_path, "originals") == []
    await assets.delete(account, asset.id, actor="key_1")
    assert objects(tmp_path) == []


async def test_note_when_bytes_are_known_says_that_they_need_not_be_stored(
    intake: Intake, assets: Assets, database: Database, account: str, photo: Path
) -> None:
    asset = await import_one(intake, assets, account, photo)
    note = Note("ast_2", account, ["images/x/y.png"], asset.sha256)
    (first,) = await database.write(lambda tx: object_ledger.note_all(tx, [note]))
    # What is public was made anew: the hash is of the original.
    assert first == Original(asset.original_key, is_stored=True)


class LyingPool(CpuPool):
    """Returns the checksum of another file, as a child could that an earlier file has taken."""

    sha256 = ""

    async def run(self, *args: Any, **options: Any) -> Any:
        made = await super().run(*args, **options)
        return replace(made, facts=replace(made.facts, sha256=self.sha256))


async def test_original_when_a_child_lies_about_its_checksum_is_stored_all_the_same(
    intake: Intake,
    assets: Assets,
    database: Database,
    account: str,
    photo: Path,
    tmp_path: Path,
) -> None:
    known = await import_one(intake, assets, account, photo)
    other = tmp_path / "other.png"
    other.write_bytes(picture("png", 30, 20))
    pool = LyingPool(1)
    pool.sha256 = known.sha256
    lied_to = Intake(database, DiskStorage(tmp_path / "objects"), pool, InspectRules())
    try:
        asset = await import_one(lied_to, assets, account, other)
    finally:
        pool.close()
    assert asset.original_key
    assert same(tmp_path / "objects" / asset.original_key, other)

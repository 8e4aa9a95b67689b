"""Deleted assets can be had back for a while; what is held cannot go; the audit log tells both."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from safelight import audit
from safelight.accounts.service import Accounts
from safelight.assets import store
from safelight.assets.asset import Asset
from safelight.assets.derived import variant_store
from safelight.assets.derived.variant_store import Variant
from safelight.assets.errors import OnHold
from safelight.assets.index.terms import Filter
from safelight.assets.index.words import parse
from safelight.assets.intake import Intake, Origin
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.object_ledger import Note, note_all
from safelight.assets.service import Assets
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.tables import events, originals
from safelight.db.types import now
from safelight.errors import NotFound
from safelight.fsck import examine
from safelight.jobs.ledger import moves
from safelight.jobs.service import Jobs
from safelight.providers.provider import Kind
from safelight.storage.disk import DiskStorage
from safelight.storage.errors import StorageFailed
from tests import factories
from tests.pictures import picture

DAY = timedelta(days=1)
KEY = "key_1"
DOOR = Filter(text=parse("door"))


@pytest.fixture
async def asset(
    intake: Intake, assets: Assets, database: Database, account: str, tmp_path: Path
) -> Asset:
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 1100, 800))
    kept = await intake.keep_picture(path, Origin(account, name="Blue door"), sanitize=True)
    asset = await assets.add(kept)
    await later(database)
    return asset


async def later(database: Database) -> None:
    """Let the time pass for which originals stay even if no asset shows them."""
    past = sa.update(originals).values(held_until=now(-DAY))
    await database.write(lambda tx: tx.execute(past))


def kept(tmp_path: Path) -> set[str]:
    root = tmp_path / "objects"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


async def lines(database: Database, account: str) -> list[tuple[str, str, str]]:
    found = await database.read(lambda tx: audit.page(tx, account, before=None, limit=50))
    return [(line.actor, line.action, line.subject) for line in reversed(found.rows)]


async def pass_time(database: Database) -> None:
    await database.write(lambda tx: tx.execute(sa.update(tables.trash).values(purge_at=now(-DAY))))


async def told(database: Database, asset: Asset) -> list[tuple[int, str]]:
    query = sa.select(events.c.seq, events.c.type).where(events.c.subject == asset.id)
    rows = await database.read(lambda tx: list(tx.execute(query.order_by(events.c.seq))))
    return [(row.seq, row.type) for row in rows]


# --- deleted and had back --------------------------------------------------------------------


async def test_put_when_there_is_a_window_takes_the_asset_and_its_addresses_away(
    trash: Trash, assets: Assets, asset: Asset, account: str, tmp_path: Path
) -> None:
    await trash.put(account, asset.id, actor=KEY)
    with pytest.raises(NotFound):
        await assets.get(account, asset.id)
    found = await assets.page(account, DOOR, before=None, limit=5)
    assert found == []
    (row,) = await trash.page(account, before=None, limit=5)
    assert abs(row.purge_at - row.deleted_at - factories.WEEK) < timedelta(seconds=1)
    objects = kept(tmp_path)
    assert objects.isdisjoint(asset.shown_keys)
    shown = set(row.asset.shown_keys)
    assert objects == shown | {asset.original_key}
    assert all(key.startswith("deleted/") for key in shown)


async def test_put_when_files_were_derived_takes_their_addresses_away_too(
    database: Database, trash: Trash, asset: Asset, account: str, tmp_path: Path
) -> None:
    key = f"images/{asset.id}/derived.jpg"
    await database.write(lambda tx: note_all(tx, [Note("ast_note", account, [key])]))
    path = tmp_path / "objects" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"derived")
    variant = Variant(asset.id, "w=9", key, "image/jpeg", 9, 9, 7)
    source = asset.key or ""
    await database.write(lambda tx: variant_store.keep(tx, variant, "ast_note", source=source))
    await trash.put(account, asset.id, actor=KEY)
    assert key not in kept(tmp_path)


async def test_restore_when_wanted_in_time_gives_all_of_it_back_under_new_addresses(
    trash: Trash, assets: Assets, asset: Asset, account: str, tmp_path: Path
) -> None:
    before = [(tmp_path / "objects" / key).read_bytes() for key in asset.shown_keys]
    await trash.put(account, asset.id, actor=KEY)
    back = await trash.restore(account, asset.id, actor=KEY)
    assert back == await assets.get(account, asset.id)
    assert (back.id, back.name, back.facts) == (asset.id, asset.name, asset.facts)
    assert set(back.shown_keys).isdisjoint(asset.shown_keys)
    assert [(tmp_path / "objects" / key).read_bytes() for key in back.shown_keys] == before
    assert kept(tmp_path) == {*back.shown_keys, back.original_key}
    (found,) = await assets.page(account, DOOR, before=None, limit=5)
    assert found == back
    assert await trash.page(account, before=None, limit=5) == []


async def test_asset_when_deleted_and_had_back_twice_tells_each_in_order(
    trash: Trash, database: Database, asset: Asset, account: str
) -> None:
    for _ in range(2):
        await trash.put(account, asset.id, actor=KEY)
        await trash.restore(account, asset.id, actor="key_2")
    assert await told(database, asset) == [
        (1, "asset.created"),
        (2, "asset.deleted"),
        (3, "asset.restored"),
        (4, "asset.deleted"),
        (5, "asset.restored"),
    ]
    assert (
        await lines(database, account)
        == [(KEY, "asset.deleted", asset.id), ("key_2", "asset.restored", asset.id)] * 2
    )


async def test_restore_when_its_job_has_gone_comes_back_without_it(
    trash: Trash, database: Database, account: str, tmp_path: Path, intake: Intake, assets: Assets
) -> None:
    job = await factories.queue(database, account)
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 40, 30))
    origin = Origin(account, job_id=job.id)
    asset = await assets.add(await intake.keep_picture(path, origin, sanitize=True))
    await trash.put(account, asset.id, actor=KEY)
    await database.write(
        lambda tx: tx.execute(sa.delete(tables.jobs).where(tables.jobs.c.id == job.id))
    )
    back = await trash.restore(account, asset.id, actor=KEY)
    assert back.job_id is None


@pytest.fixture
async def ended(
    database: Database, intake: Intake, assets: Assets, account: str, tmp_path: Path
) -> tuple[str, list[Asset]]:
    """A job that has ended, and its two outputs."""
    job = await factories.queue(database, account)
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 40, 30))
    origin = Origin(account, job_id=job.id)
    rows = [
        await intake.keep_picture(path, origin, sanitize=True, position=place) for place in range(2)
    ]
    outputs = [await assets.add(row) for row in rows]
    await database.write(lambda tx: moves.cancel(tx, job.id))
    return job.id, outputs


async def test_job_when_it_is_deleted_leaves_outputs_that_can_be_had_back(
    jobs: Jobs, trash: Trash, account: str, ended: tuple[str, list[Asset]]
) -> None:
    job_id, outputs = ended
    await jobs.delete(account, job_id, actor=KEY)
    with pytest.raises(NotFound):
        await jobs.view(account, job_id)
    waiting = await trash.page(account, before=None, limit=9)
    assert {each.asset.id for each in waiting} == {asset.id for asset in outputs}
    back = await trash.restore(account, outputs[0].id, actor=KEY)
    assert (back.id, back.job_id) == (outputs[0].id, None)


async def test_job_when_an_output_is_held_stays_with_all_of_them(
    jobs: Jobs, trash: Trash, assets: Assets, account: str, ended: tuple[str, list[Asset]]
) -> None:
    job_id, outputs = ended
    await assets.hold(account, outputs[1].id, "evidence", actor=KEY)
    with pytest.raises(OnHold):
        await jobs.delete(account, job_id, actor=KEY)
    assert len((await jobs.view(account, job_id)).outputs) == 2
    assert await trash.page(account, before=None, limit=9) == []


async def test_job_when_it_is_deleted_for_good_leaves_nothing(
    jobs: Jobs,
    trash: Trash,
    database: Database,
    account: str,
    tmp_path: Path,
    ended: tuple[str, list[Asset]],
) -> None:
    assert kept(tmp_path)
    await later(database)
    await jobs.delete(account, ended[0], actor=KEY, now=True)
    assert await trash.page(account, before=None, limit=9) == []
    assert kept(tmp_path) == set()


async def test_restore_when_it_was_to_go_by_itself_stays_for_good(
    trash: Trash, database: Database, asset: Asset, account: str
) -> None:
    soon = {"expires_at": factories.NOON}
    await database.write(lambda tx: store.change(tx, account, asset.id, soon))
    await trash.put(account, asset.id, actor=KEY)
    back = await trash.restore(account, asset.id, actor=KEY)
    assert back.expires_at is None


async def test_trash_when_it_is_anothers_is_as_absent_as_none(trash: Trash, asset: Asset) -> None:
    account = asset.account_id
    with pytest.raises(NotFound):
        await trash.put("acc_other", asset.id, actor=KEY)
    await trash.put(account, asset.id, actor=KEY)
    assert await trash.page("acc_other", before=None, limit=5) == []
    with pytest.raises(NotFound):
        await trash.restore("acc_other", asset.id, actor=KEY)
    with pytest.raises(NotFound):
        await trash.purge("acc_other", asset.id, actor=KEY)


async def test_put_when_storage_fails_on_the_way_leaves_the_asset_as_it_was(
    database: Database, assets: Assets, asset: Asset, account: str, tmp_path: Path
) -> None:
    objects = kept(tmp_path)
    trash = factories.trash(database, assets, factories.FullStorage(tmp_path / "objects"), tmp_path)
    with pytest.raises(StorageFailed):
        await trash.put(account, asset.id, actor=KEY)
    assert await assets.get(account, asset.id) == asset
    await factories.sweep_later(database, assets)
    assert kept(tmp_path) == objects
    assert await lines(database, account) == []


async def test_put_when_it_shows_nothing_is_had_back_as_it_was(
    trash: Trash, intake: Intake, database: Database, account: str, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 40, 30))
    row = await intake.keep_private(path, await intake.inspect(path, account), "input.jpg", account)
    (asset,) = await database.write(lambda tx: store.insert(tx, [row]))
    await trash.put(account, asset.id, actor=KEY)
    assert kept(tmp_path) == {asset.original_key}
    back = await trash.restore(account, asset.id, actor=KEY)
    assert back.original_key == asset.original_key


# --- gone for good ---------------------------------------------------------------------------


async def test_put_when_it_is_said_so_is_for_good_at_once(
    trash: Trash, database: Database, asset: Asset, account: str, tmp_path: Path
) -> None:
    await trash.put(account, asset.id, actor=KEY, now=True)
    assert await trash.page(account, before=None, limit=5) == []
    assert kept(tmp_path) == set()
    assert await lines(database, account) == [(KEY, "asset.deleted", asset.id)]


async def test_put_when_the_installation_keeps_nothing_is_for_good_at_once(
    database: Database, assets: Assets, storage: DiskStorage, asset: Asset, tmp_path: Path
) -> None:
    trash = factories.trash(database, assets, storage, tmp_path, kept=timedelta())
    await trash.put(asset.account_id, asset.id, actor=KEY)
    assert await trash.page(asset.account_id, before=None, limit=5) == []
    assert kept(tmp_path) == set()


async def test_purge_when_asked_leaves_no_byte(
    trash: Trash, database: Database, asset: Asset, account: str, tmp_path: Path
) -> None:
    await trash.put(account, asset.id, actor=KEY)
    await trash.purge(account, asset.id, actor=KEY)
    assert kept(tmp_path) == set()
    assert (await lines(database, account))[1:] == [(KEY, "asset.purged", asset.id)]
    with pytest.raises(NotFound):
        await trash.restore(account, asset.id, actor=KEY)


async def test_purge_overdue_when_the_window_has_passed_removes_it_and_no_sooner(
    trash: Trash, database: Database, assets: Assets, asset: Asset, account: str, tmp_path: Path
) -> None:
    await trash.put(account, asset.id, actor=KEY)
    assert await trash.purge_overdue() == 0
    await pass_time(database)
    assert await trash.purge_overdue() == 1
    await assets.sweep()
    assert kept(tmp_path) == set()
    assert (await lines(database, account))[-1] == (audit.RETENTION, "asset.purged", asset.id)


async def test_original_when_a_deleted_asset_shares_it_outlives_the_other(
    trash: Trash, database: Database, assets: Assets, asset: Asset, account: str, tmp_path: Path
) -> None:
    twin = await factories.keep(database, account, original_key=asset.original_key)
    await later(database)
    await trash.put(account, asset.id, actor=KEY)
    await assets.delete(account, twin.id, actor=KEY)
    assert kept(tmp_path) > {asset.original_key}
    await trash.purge(account, asset.id, actor=KEY)
    assert kept(tmp_path) == set()


# --- holds -----------------------------------------------------------------------------------


async def test_asset_when_held_goes_neither_by_anybody_nor_by_its_time(
    trash: Trash, database: Database, assets: Assets, asset: Asset, account: str
) -> None:
    held = await assets.hold(account, asset.id, "case 17", actor="key_admin")
    assert held.hold == "case 17"
    for now_ in (True, False):
        with pytest.raises(OnHold):
            await trash.put(account, asset.id, actor=KEY, now=now_)
    over = {"expires_at": factories.NOON.replace(year=2020)}
    await database.write(lambda tx: store.change(tx, account, asset.id, over))
    assert await assets.expire() == 0
    await assets.hold(account, asset.id, "", actor="key_admin")
    assert await assets.expire() == 1
    assert await lines(database, account) == [
        ("key_admin", "asset.held", asset.id),
        ("key_admin", "asset.released", asset.id),
        (audit.RETENTION, "asset.deleted", asset.id),
    ]


async def test_account_when_held_keeps_what_was_deleted_before_too(
    trash: Trash, database: Database, assets: Assets, asset: Asset, account: str, tmp_path: Path
) -> None:
    await trash.put(account, asset.id, actor=KEY)
    accounts = Accounts(database)
    await accounts.change(account, {"hold": "case 17"}, actor="key_admin")
    other = await factories.keep(database, account)
    await pass_time(database)
    assert await trash.purge_overdue() == 0
    with pytest.raises(OnHold):
        await trash.purge(account, asset.id, actor=KEY)
    with pytest.raises(OnHold):
        await assets.delete(account, other.id, actor=KEY)
    await trash.restore(account, asset.id, actor=KEY)
    await accounts.change(account, {"hold": ""}, actor="key_admin")
    await assets.delete(account, other.id, actor=KEY)


# --- with the rest ---------------------------------------------------------------------------


async def test_fsck_when_an_asset_was_deleted_finds_nothing_wrong(
    trash: Trash,
    database: Database,
    storage: DiskStorage,
    asset: Asset,
    account: str,
    tmp_path: Path,
) -> None:
    await trash.put(account, asset.id, actor=KEY)
    async with examine(database, storage, tmp_path) as report:
        assert [each async for each in report.findings] == []


@pytest.mark.parametrize(
    ("kind", "seconds"), [(Kind.TEXT_TO_IMAGE, 60.0), (Kind.IMAGE_TO_3D, 120.0)]
)
async def test_account_when_it_says_how_long_each_kind_stays_says_so_for_jobs_that_do_not(
    database: Database, account: str, kind: Kind, seconds: float
) -> None:
    said = {"keep_image_s": 60.0, "keep_model_3d_s": 120.0}
    await Accounts(database).change(account, said, actor=KEY)
    usual = await factories.queue(database, account, kind=kind)
    own = await factories.queue(database, account, kind=kind, keep_s=5.0)
    assert (usual.keep_s, own.keep_s) == (seconds, 5.0)

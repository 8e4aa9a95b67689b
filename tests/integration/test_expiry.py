"""Assets go by themselves when their time has come, with all that was made of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from safelight.assets import store
from safelight.assets.asset import Asset
from safelight.db.engine import Database
from safelight.db.tables import assets as table
from safelight.db.tables import events
from safelight.db.types import now
from safelight.jobs.job import JobStatus
from tests import factories
from tests.workshop import Workshop, working

HOUR = timedelta(hours=1)


async def made(shop: Workshop, **job: object) -> Asset:
    """Have a job done, and return what it made."""
    queued = await shop.queue(params={"outputs": 1}, **job)
    async with working(shop.worker()):
        await shop.until(queued, JobStatus.SUCCEEDED)
    found = await shop.database.read(lambda tx: store.of_jobs(tx, [queued.id]))
    return found[queued.id][0]


async def pass_time(database: Database, asset: Asset) -> None:
    over = sa.update(table).where(table.c.id == asset.id).values(expires_at=now(-HOUR))
    await database.write(lambda tx: tx.execute(over))


async def test_output_when_its_job_says_how_long_goes_then_and_no_sooner(
    shop: Workshop, tmp_path: Path
) -> None:
    asset = await made(shop, keep_s=3600.0)
    assert asset.expires_at is not None
    assert abs(asset.expires_at - datetime.now(UTC) - HOUR) < timedelta(minutes=1)
    stays = await made(shop)
    assert stays.expires_at is None
    await shop.janitor().round()
    assert asset.key is not None
    await shop.storage.head(asset.key)
    await pass_time(shop.database, asset)
    await shop.janitor().round()
    assert await shop.database.read(lambda tx: store.get(tx, shop.account, asset.id)) is None
    assert not (tmp_path / "objects" / asset.key).exists()
    assert stays.key is not None
    await shop.storage.head(stays.key)
    told = sa.select(events.c.type).where(events.c.subject == asset.id).order_by(events.c.seq)
    assert await shop.database.read(lambda tx: list(tx.scalars(told))) == [
        "asset.created",
        "asset.deleted",
    ]


async def test_asset_when_it_is_kept_after_all_stays(database: Database, account: str) -> None:
    kept = await factories.keep(database, account)
    await pass_time(database, kept)
    changed = await database.write(
        lambda tx: store.change(tx, account, kept.id, {"expires_at": None})
    )
    assert changed is not None
    assert changed.expires_at is None
    assert await database.write(lambda tx: store.expired(tx, limit=10)) == []


@pytest.mark.parametrize("count", [3, 5])
async def test_expired_when_there_are_many_are_taken_some_at_a_time(
    database: Database, account: str, count: int
) -> None:
    for _ in range(count):
        await pass_time(database, await factories.keep(database, account))
    found = await database.write(lambda tx: store.expired(tx, limit=4))
    assert len(found) == min(count, 4)

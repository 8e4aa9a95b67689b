"""A hold keeps what it covers from every way to go: by its time, by its owner, by a sweep."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from safelight.accounts.service import Accounts
from safelight.assets.asset import Asset
from safelight.assets.errors import OnHold
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.jobs.ledger import moves
from safelight.jobs.service import Jobs
from tests import factories

KEY = "key_admin"
WHY = "case 17"


async def hold_asset(assets: Assets, accounts: Accounts, asset: Asset, reason: str) -> None:
    del accounts
    await assets.hold(asset.account_id, asset.id, reason, actor=KEY)


async def hold_account(assets: Assets, accounts: Accounts, asset: Asset, reason: str) -> None:
    del assets
    await accounts.change(asset.account_id, {"hold": reason}, actor=KEY)


Hold = Callable[[Assets, Accounts, Asset, str], Awaitable[None]]
each_hold = pytest.mark.parametrize("hold", [hold_asset, hold_account], ids=["asset", "account"])


async def pass_time(database: Database) -> None:
    """Let the time of everything be over."""
    over = now(timedelta(hours=-1))
    for column in (tables.assets.c.expires_at, tables.trash.c.purge_at):
        late = sa.update(column.table).values({column.name: over})
        await database.write(lambda tx, late=late: tx.execute(late))


async def ids_of(database: Database, column: sa.Column[str]) -> set[str]:
    return await database.read(lambda tx: set(tx.scalars(sa.select(column))))


@each_hold
async def test_expiry_when_there_is_a_hold_takes_only_what_is_free(
    database: Database, assets: Assets, account: str, hold: Hold
) -> None:
    accounts = Accounts(database)
    held = await factories.keep(database, account)
    free = await factories.keep(database, await factories.new_account(database))
    await pass_time(database)
    await hold(assets, accounts, held, WHY)
    assert await assets.expire() == 1
    assert await ids_of(database, tables.assets.c.id) == {held.id}, f"{free.id} was free to go"
    assert await assets.expire() == 0
    await hold(assets, accounts, held, "")
    assert await assets.expire() == 1


@each_hold
async def test_expiry_when_the_longest_overdue_is_held_is_not_stuck_behind_it(
    database: Database, assets: Assets, account: str, hold: Hold
) -> None:
    held = await factories.keep(database, account)
    await pass_time(database)
    await hold(assets, Accounts(database), held, WHY)
    other = await factories.new_account(database)
    for _ in range(3):
        await factories.keep(database, other, expires_at=factories.NOON.replace(year=2020))
    assert await assets.expire() == 3


@each_hold
async def test_owner_when_there_is_a_hold_cannot_delete_in_any_way(
    database: Database, assets: Assets, trash: Trash, account: str, hold: Hold
) -> None:
    asset = await factories.keep(database, account)
    await hold(assets, Accounts(database), asset, WHY)
    for at_once in (True, False):
        with pytest.raises(OnHold):
            await trash.put(account, asset.id, actor=KEY, now=at_once)
    with pytest.raises(OnHold):
        await assets.delete(account, asset.id, actor=KEY)
    with pytest.raises(OnHold):
        await trash.keep_back([asset], actor=KEY)
    assert await ids_of(database, tables.assets.c.id) == {asset.id}
    assert await ids_of(database, tables.trash.c.asset_id) == set()


async def test_trash_when_its_account_is_held_stays_whatever_is_asked(
    database: Database, assets: Assets, trash: Trash, account: str
) -> None:
    accounts = Accounts(database)
    asset = await factories.keep(database, account)
    await trash.put(account, asset.id, actor=KEY)
    await hold_account(assets, accounts, asset, WHY)
    await pass_time(database)
    assert await trash.purge_overdue() == 0
    with pytest.raises(OnHold):
        await trash.purge(account, asset.id, actor=KEY)
    assert await ids_of(database, tables.trash.c.asset_id) == {asset.id}
    await hold_account(assets, accounts, asset, "")
    assert await trash.purge_overdue() == 1


async def test_job_when_its_account_is_held_cannot_be_deleted_though_it_made_nothing(
    database: Database, assets: Assets, trash: Trash, account: str
) -> None:
    jobs = Jobs(database, assets, trash, slots={"remote": 8})
    job = await factories.queue(database, account)
    await database.write(lambda tx: moves.cancel(tx, job.id))
    accounts = Accounts(database)
    await accounts.change(account, {"hold": WHY}, actor=KEY)
    for at_once in (True, False):
        with pytest.raises(OnHold):
            await jobs.delete(account, job.id, actor=KEY, now=at_once)
    await accounts.change(account, {"hold": ""}, actor=KEY)
    await jobs.delete(account, job.id, actor=KEY)
    assert await ids_of(database, tables.jobs.c.id) == set()

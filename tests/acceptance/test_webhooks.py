"""Webhooks under load: notifiers that are killed, and receivers that hang.

`DELIVERIES` says how many; 10,000 take two minutes.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import quantiles

import pytest
import sqlalchemy as sa

from safelight.db import tables
from safelight.db.engine import Database, open_database
from safelight.webhooks.service import Webhooks
from tests import factories
from tests.chaos.process import RoleProcess
from tests.receivers import Receiver, at_work, make_due, notifying, receiving
from tests.servers import PostgresServer, wait_until_async

COUNT = int(os.environ.get("DELIVERIES", "2000"))  # noqa: TID251  the test's own
ENDPOINTS = 10
KILLS = 5
SETTLED_S = 90.0
HANGING = 50
WELL = 10
TOLD_S = 5.0
AN_ACCOUNT = 20  # endpoints at most


@pytest.fixture
def url(postgres_server: PostgresServer, migrated_postgres: str) -> Iterator[str]:
    made = postgres_server.create_database(migrated_postgres)
    yield made
    postgres_server.drop_database(made)


@pytest.mark.slow
@pytest.mark.timeout(150 + SETTLED_S)
async def test_deliveries_when_their_notifier_is_killed_again_and_again_are_none_lost(
    url: str, tmp_path: Path
) -> None:
    database = open_database(url)
    try:
        async with receiving() as receiver:
            (account,) = await _endpoints(
                database, [f"{receiver.url}/{number}" for number in range(ENDPOINTS)]
            )
            rows = [factories.job_row(account) for _ in range(COUNT // ENDPOINTS)]
            await factories.queue_many(database, rows)
            await _tell_all(database, receiver, url, tmp_path)
    finally:
        await database.close()
    told = {(message.path, message.event["subject"]) for message in receiver.got}
    assert len(told) == COUNT, "each endpoint is told of each job"
    times = Counter(message.headers["webhook-id"] for message in receiver.got)
    assert len(times) == COUNT, "what came again had the id that it had before"
    again = len(receiver.got) - COUNT
    print(f"{COUNT} deliveries, {KILLS} kills, {again} came again")  # noqa: T201  its worth


async def _tell_all(database: Database, receiver: Receiver, url: str, home: Path) -> None:
    notifier = RoleProcess(
        "notifier",
        ("notifier",),
        home,
        {
            "SAFELIGHT_DATABASE_URL": url.replace("+asyncpg", ""),
            "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
            "SAFELIGHT_FETCH_PORTS": str(receiver.port),
        },
    )
    try:
        for number in range(1, KILLS + 1):
            notifier.start()
            await receiver.arrivals(COUNT * number // (KILLS + 1), within_s=SETTLED_S)
            notifier.kill()
            await make_due(database)  # as if the leases of the dead had run out
        notifier.start()
        await receiver.arrivals(COUNT, within_s=SETTLED_S)

        async def over() -> bool:
            return not await _pending(database)

        await wait_until_async(over, SETTLED_S)
        assert notifier.stop() == 0
    finally:
        notifier.close()


async def _pending(database: Database) -> int:
    query = sa.select(sa.func.count()).select_from(tables.deliveries).where(tables.PENDING)
    untold = sa.select(sa.func.count()).select_from(tables.events).where(tables.UNTOLD)
    return await database.read(
        lambda tx: tx.execute(query).scalar_one() + tx.execute(untold).scalar_one()
    )


@pytest.mark.slow
async def test_deliveries_when_fifty_endpoints_hang_reach_the_others_within_seconds(
    url: str,
) -> None:
    database = open_database(url)
    try:
        async with receiving() as hanging, receiving() as well:
            hanging.hangs = True
            accounts = await _endpoints(database, [hanging.url] * HANGING + [well.url] * WELL)
            async with notifying(database, total_s=15) as notifier, at_work(notifier):
                for _ in range(20):
                    for account in accounts:
                        await factories.queue_many(database, [factories.job_row(account)])
                    await asyncio.sleep(0.1)  # a stream of events, not one heap
                await well.arrivals(20 * WELL, within_s=60)
            assert hanging.most <= 4 * HANGING
    finally:
        await database.close()
    waits = [
        (message.at - datetime.fromisoformat(message.event["created_at"])).total_seconds()
        for message in well.got
    ]
    slowest = quantiles(waits, n=20)[-1]
    print(f"p95 {slowest:.2f} s while {HANGING} endpoints hang")  # noqa: T201  its worth
    assert slowest < TOLD_S


async def _endpoints(database: Database, urls: list[str]) -> list[str]:
    """Return the accounts of endpoints at these addresses."""
    accounts: list[str] = []
    for number, url in enumerate(urls):
        if number % AN_ACCOUNT == 0:
            accounts.append(await factories.new_account(database))
        await Webhooks(database).create(accounts[-1], url=url, wanted=["job.queued"])
    return accounts

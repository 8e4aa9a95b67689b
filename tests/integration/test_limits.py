"""Limits hold over all workers: of accounts, of providers, and of starts a minute."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.jobs.job import Job
from safelight.jobs.scheduling import claims
from safelight.jobs.scheduling.limits import ClaimLimits, ProviderLimit
from safelight.providers.provider import Lane
from tests import factories
from tests.factories import claim_of, job_row

OPENAI = "openai"


async def claim(
    database: Database,
    limits: ClaimLimits,
    *,
    slots: int = 100,
    worker: str = "wrk_1",
    cursor: claims.Cursor = claims.START,
) -> claims.Claimed:
    return await database.write(
        lambda tx: claims.claim(
            tx,
            worker=worker,
            lane=Lane.REMOTE,
            slots=slots,
            lease=factories.LEASE,
            limits=limits,
            cursor=cursor,
        )
    )


async def queue(database: Database, account: str, count: int, provider: str = "fake") -> None:
    rows = [job_row(account, provider=provider) for _ in range(count)]
    await factories.queue_many(database, rows)


async def end(database: Database, *jobs: Job) -> None:
    for job in jobs:
        await database.write(
            lambda tx, job=job: factories.succeed(tx, claim_of(job), cost_micros=0)
        )


async def park(database: Database, job: Job) -> None:
    await database.write(
        lambda tx: factories.park(
            tx, claim_of(job), check_at=factories.NOON, wakes=0, stage="", progress=0
        )
    )


async def test_account_limit_when_reached_leaves_the_rest_to_others(
    database: Database, account: str
) -> None:
    other = await factories.new_account(database)
    await queue(database, account, 50)
    await queue(database, other, 2)
    taken = await claim(database, ClaimLimits(account=5))
    assert Counter(job.account_id for job in taken.jobs) == {account: 5, other: 2}
    assert taken.throttled
    assert (await claim(database, ClaimLimits(account=5))).jobs == []
    await end(database, *[job for job in taken.jobs if job.account_id == account][:2])
    assert len((await claim(database, ClaimLimits(account=5))).jobs) == 2


async def test_account_limit_when_jobs_wait_at_the_provider_counts_them(
    database: Database, account: str
) -> None:
    await queue(database, account, 3)
    for job in (await claim(database, ClaimLimits(account=2))).jobs:
        await park(database, job)
    assert (await claim(database, ClaimLimits(account=2))).jobs == []


async def test_account_limit_when_the_account_has_its_own_obeys_that(
    database: Database, account: str
) -> None:
    other = await factories.new_account(database)
    await queue(database, account, 10)
    await queue(database, other, 10)
    own = sa.update(tables.accounts).where(tables.accounts.c.id == account)
    await database.write(lambda tx: tx.execute(own.values(max_in_flight=7)))
    taken = await claim(database, ClaimLimits(account=3))
    assert Counter(job.account_id for job in taken.jobs) == {account: 7, other: 3}
    await database.write(lambda tx: tx.execute(own.values(max_in_flight=1)))
    assert (await claim(database, ClaimLimits(account=3))).jobs == [], "a lowered limit is obeyed"


async def test_account_limit_when_a_whole_page_of_accounts_is_full_reaches_those_beyond(
    database: Database,
) -> None:
    accounts = [await factories.new_account(database) for _ in range(130)]
    await factories.queue_many(
        database, [job_row(account) for account in accounts for _ in range(2)]
    )
    limits = ClaimLimits(account=1)
    first = await claim(database, limits, slots=129)
    assert len({job.account_id for job in first.jobs}) == 129
    again = await claim(database, limits, slots=10, cursor=claims.START)
    assert len(again.jobs) == 1, "the one account that has room lies beyond the first page"


async def test_provider_limit_when_reached_leaves_other_providers_alone(
    database: Database, account: str
) -> None:
    await queue(database, account, 20, OPENAI)
    await queue(database, account, 4)
    limits = ClaimLimits(providers={OPENAI: ProviderLimit(in_flight=3)})
    taken = (await claim(database, limits, slots=10)).jobs
    taken += (await claim(database, limits, slots=10)).jobs
    assert Counter(job.provider for job in taken) == {OPENAI: 3, "fake": 4}
    await end(database, *[job for job in taken if job.provider == OPENAI][:1])
    assert [job.provider for job in (await claim(database, limits)).jobs] == [OPENAI]


async def test_provider_limit_when_checks_are_due_never_holds_them_back(
    database: Database, account: str
) -> None:
    await queue(database, account, 1, OPENAI)
    limits = ClaimLimits(account=1, providers={OPENAI: ProviderLimit(in_flight=1)})
    job = (await claim(database, limits)).jobs[0]
    await park(database, job)
    await factories.make_due(database, job)
    assert [found.id for found in (await claim(database, limits)).jobs] == [job.id]


async def test_limits_when_many_workers_claim_at_once_are_never_exceeded(
    database: Database, account: str
) -> None:
    other = await factories.new_account(database)
    await queue(database, account, 60, OPENAI)
    await queue(database, other, 60, OPENAI)
    limits = ClaimLimits(account=11, providers={OPENAI: ProviderLimit(in_flight=17)})
    rounds = [claim(database, limits, slots=5, worker=f"wrk_{number}") for number in range(12)]
    taken = [job for claimed in await asyncio.gather(*rounds) for job in claimed.jobs]
    by_account = Counter(job.account_id for job in taken)
    assert len(taken) == 17
    assert max(by_account.values()) <= 11


async def test_starts_a_minute_when_spent_wait_for_the_next(
    database: Database, account: str
) -> None:
    await queue(database, account, 100)
    limits = ClaimLimits(providers={"fake": ProviderLimit(starts_per_minute=30)})
    first = await claim(database, limits)
    assert len(first.jobs) == 3, "a tenth of the minute at once"
    empty = await claim(database, limits)
    assert empty.jobs == []
    assert empty.rest == pytest.approx(timedelta(seconds=60 / 28), abs=timedelta(seconds=1))
    started = 3
    back = sa.update(tables.start_rates).values(filled_at=now(timedelta(seconds=-12)))
    for _ in range(5):  # a minute passes in steps of twelve seconds
        await database.write(lambda tx: tx.execute(back))
        started += len((await claim(database, limits)).jobs)
    assert started <= 30


async def test_providers_when_one_has_thousands_takes_turns_with_the_other(
    database: Database, account: str
) -> None:
    await queue(database, account, 300, "aaa")
    await queue(database, account, 3, "bbb")
    cursor, order = claims.START, list[str]()
    for _ in range(6):
        taken = await claim(database, ClaimLimits(), slots=1, cursor=cursor)
        cursor = taken.cursor
        order += [job.provider for job in taken.jobs]
    assert order == ["aaa", "bbb"] * 3


async def test_lane_when_paused_starts_nothing_but_finishes_what_waits(
    database: Database, account: str
) -> None:
    await queue(database, account, 2)
    job = (await claim(database, ClaimLimits(), slots=1)).jobs[0]
    await park(database, job)
    await database.write(lambda tx: tx.execute(_pause(Lane.REMOTE)))
    await factories.make_due(database, job)
    assert [found.id for found in (await claim(database, ClaimLimits())).jobs] == [job.id]
    assert (await claim(database, ClaimLimits())).jobs == []
    await database.write(lambda tx: tx.execute(sa.delete(tables.paused_lanes)))
    assert len((await claim(database, ClaimLimits())).jobs) == 1


def _pause(lane: Lane) -> sa.Insert:
    return sa.insert(tables.paused_lanes).values(name=lane.value, paused_at=now())

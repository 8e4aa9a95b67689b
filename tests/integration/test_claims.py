"""Claims: nobody gets a job twice, nobody waits for another's thousands, nothing early."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, event

from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.jobs.job import JobStatus
from safelight.jobs.ledger import attempts, moves
from safelight.jobs.scheduling import claims, lane_counts
from safelight.providers.provider import Lane
from tests import factories
from tests.factories import claim_of, job_row

THOUSANDS = 10_000
_COPY = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO jobs (id, {columns})
SELECT 'job_' || :account || i, {columns} FROM jobs, n WHERE id = :id
"""


async def queue_in_bulk(database: Database, account: str, count: int) -> None:
    """Queue many jobs by copying one row, as inserting them one by one would take long."""
    made = await factories.queue(database, account)
    columns = [column.name for column in tables.jobs.c if column.name != "id"]
    given = {"count": count - 1, "account": account, "id": made.id}
    copy = sa.text(_COPY.format(columns=", ".join(columns)))
    await database.write(lambda tx: tx.execute(copy, given))


async def claimed(
    database: Database, slots: int, *, cursor: claims.Cursor = claims.START, worker: str = "wrk_1"
) -> claims.Claimed:
    return await database.write(
        lambda tx: claims.claim(
            tx,
            worker=worker,
            lane=Lane.REMOTE,
            slots=slots,
            lease=factories.LEASE,
            cursor=cursor,
        )
    )


async def test_claim_when_made_leases_the_job_and_tells_that_it_started(
    database: Database, account: str
) -> None:
    queued = await factories.queue(database, account)
    job = (await factories.claim(database, worker="wrk_7"))[0]
    assert (job.id, job.status, job.leased_by) == (queued.id, JobStatus.RUNNING, "wrk_7")
    assert (job.ready, job.seq) == (False, 2)
    assert job.fence > 0
    assert job.leased_until is not None
    assert job.started_at is not None
    assert job.leased_until - job.started_at == pytest.approx(
        factories.LEASE, abs=timedelta(seconds=1)
    )
    assert await factories.claim(database) == []


async def test_claim_when_another_lane_has_work_leaves_it(database: Database, account: str) -> None:
    await factories.queue(database, account, lane=Lane.LOCAL)
    assert await factories.claim(database, lane=Lane.REMOTE) == []
    assert len(await factories.claim(database, lane=Lane.LOCAL)) == 1


async def test_claims_when_many_workers_race_give_each_job_to_one(
    database: Database, account: str
) -> None:
    others = [await factories.new_account(database) for _ in range(4)]
    rows = [job_row(owner) for owner in (account, *others) for _ in range(40)]
    await factories.queue_many(database, rows)

    async def work(worker: str) -> list[str]:
        mine: list[str] = []
        cursor = claims.START
        while (taken := await claimed(database, 7, cursor=cursor, worker=worker)).jobs:
            cursor = taken.cursor
            mine += [job.id for job in taken.jobs]
        return mine

    taken = await asyncio.gather(*(work(f"wrk_{number}") for number in range(8)))
    # A claim that finds all rows locked may stop early; another one takes the rest.
    rest = await work("wrk_last")
    counts = Counter(job_id for mine in (*taken, rest) for job_id in mine)
    assert set(counts) == {row["id"] for row in rows}
    assert set(counts.values()) == {1}


async def test_claim_when_one_account_has_thousands_brings_the_other_s_one_first(
    database: Database, account: str
) -> None:
    await queue_in_bulk(database, account, THOUSANDS)
    small = await factories.queue(database, await factories.new_account(database))
    await database.write(lambda tx: tx.exec_driver_sql("ANALYZE"))
    taken = (await claimed(database, 10)).jobs
    assert small.id in {job.id for job in taken}
    assert len(taken) == 10


async def test_claim_when_priorities_differ_goes_by_them_and_then_by_age(
    database: Database, account: str
) -> None:
    order = [0, 5, -5, 5, 0]
    made = [await factories.queue(database, account, priority=level) for level in order]
    expected = [made[index].id for index in (1, 3, 0, 4, 2)]
    assert [(await claimed(database, 1)).jobs[0].id for _ in order] == expected


async def test_claim_when_another_account_s_priority_is_higher_still_takes_turns(
    database: Database, account: str
) -> None:
    pushy = await factories.new_account(database)
    await factories.queue_many(database, [job_row(pushy, priority=100) for _ in range(9)])
    await factories.queue(database, account)
    owners = Counter(job.account_id for job in (await claimed(database, 4)).jobs)
    assert owners == {pushy: 3, account: 1}


async def test_claim_when_a_job_is_delayed_waits_until_it_is_due(
    database: Database, account: str
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    job = await factories.queue(database, account, run_at=later)
    assert await factories.claim(database) == []
    await factories.make_due(database, job)
    assert [found.id for found in await factories.claim(database)] == [job.id]


async def test_claim_when_only_delayed_jobs_exist_does_not_count_their_account_as_ready(
    database: Database, account: str
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await factories.queue_many(database, [job_row(account, run_at=later) for _ in range(5)])
    other = await factories.new_account(database)
    await factories.queue_many(database, [job_row(other) for _ in range(3)])
    assert [job.account_id for job in (await claimed(database, 2)).jobs] == [other] * 2


async def test_claim_when_checks_are_due_takes_them_before_starts(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    later = datetime.now(UTC) + timedelta(hours=1)
    await database.write(
        lambda tx: factories.park(tx, claim_of(job), check_at=later, wakes=0, stage="", progress=0)
    )
    queued = await factories.queue(database, account)
    assert [found.id for found in await factories.claim(database, slots=1)] == [queued.id]
    other = await factories.queue(database, account)
    await factories.make_due(database, job)
    found = await factories.claim(database, slots=1)
    assert [each.id for each in found] == [job.id, other.id]  # a check needs no slot of a start
    assert found[0].fence != job.fence


async def test_claim_when_a_provider_s_checks_hang_takes_those_of_others(
    database: Database, account: str
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    waiting = [
        await factories.run_one(database, account, provider=provider)
        for provider in ("fake", "fake", "fake", "second")
    ]
    for job in waiting:
        await database.write(
            lambda tx, job=job: factories.park(
                tx, claim_of(job), check_at=later, wakes=0, stage="", progress=0
            )
        )
    for job in waiting:
        await factories.make_due(database, job)
    checking = claims.Checking(2, {"fake": 1})

    def claim(tx: Connection) -> claims.Claimed:
        return claims.claim(
            tx, worker="w", lane=Lane.REMOTE, slots=0, lease=factories.LEASE, checking=checking
        )

    found = await database.write(claim)
    assert sorted(job.provider for job in found.jobs) == ["fake", "second"]
    assert (found.checks, found.throttled) == (2, True)


async def test_claim_when_start_by_has_passed_leaves_the_job_to_the_janitor(
    database: Database, account: str
) -> None:
    late = await factories.queue(database, account, priority=9)
    past = sa.update(tables.jobs).where(tables.jobs.c.id == late.id)
    await database.write(lambda tx: tx.execute(past.values(start_by=now(factories.LONG_AGO))))
    good = await factories.queue(database, account)
    assert [job.id for job in await factories.claim(database, slots=1)] == [good.id]
    assert await factories.claim(database) == []
    # One that did start in time and waits for another try is not late.
    await database.write(lambda tx: tx.execute(past.values(started_at=now())))
    assert [job.id for job in await factories.claim(database)] == [late.id]


@pytest.mark.parametrize("slots", [1, 3, 50, 100])
async def test_cursor_when_there_are_many_accounts_lets_none_starve(
    database: Database, slots: int
) -> None:
    owners = [await factories.new_account(database) for _ in range(150)]
    await factories.queue_many(database, [job_row(owner) for owner in owners for _ in range(2)])
    served: Counter[str] = Counter()
    cursor = claims.START
    for _ in range(-(-len(owners) // slots)):
        taken = await claimed(database, slots, cursor=cursor)
        cursor = taken.cursor
        served.update(job.account_id for job in taken.jobs)
    assert set(served) == set(owners), "one round serves everybody"
    assert sum(served.values()) >= len(owners)
    assert max(served.values()) <= 2


async def test_cursor_when_accounts_are_few_shares_evenly_over_many_claims(
    database: Database,
) -> None:
    owners = [await factories.new_account(database) for _ in range(3)]
    await factories.queue_many(database, [job_row(owner) for owner in owners for _ in range(40)])
    served: Counter[str] = Counter()
    cursor = claims.START
    for _ in range(15):
        taken = await claimed(database, 2, cursor=cursor)
        cursor = taken.cursor
        served.update(job.account_id for job in taken.jobs)
    assert set(served.values()) == {10}


# --- when to look again ----------------------------------------------------------------------


async def rest_of(database: Database) -> timedelta | None:
    return (await claimed(database, 0)).rest


async def test_rest_when_nothing_is_claimed_names_the_soonest_of_all(
    database: Database, account: str
) -> None:
    assert await rest_of(database) is None
    soon = datetime.now(UTC) + timedelta(minutes=5)
    await factories.queue(database, account, run_at=soon + timedelta(hours=1))
    await factories.queue(database, account, run_at=soon)
    await factories.queue(database, account, lane=Lane.LOCAL)
    assert await rest_of(database) == pytest.approx(timedelta(minutes=5), abs=timedelta(seconds=5))
    job = await factories.run_one(database, account)
    check_at = datetime.now(UTC) + timedelta(minutes=1)
    await database.write(
        lambda tx: factories.park(
            tx, claim_of(job), check_at=check_at, wakes=0, stage="", progress=0
        )
    )
    assert await rest_of(database) == pytest.approx(timedelta(minutes=1), abs=timedelta(seconds=5))


# --- the indexes serve -----------------------------------------------------------------------


async def test_statements_of_the_loops_when_explained_read_through_indexes(
    database: Database, account: str, database_kind: str
) -> None:
    """Claims, leases and the janitor look every few seconds, however many jobs there ever were."""
    await queue_in_bulk(database, account, 3_000)
    old = sa.update(tables.jobs).where(~tables.jobs.c.id.like("%1"))
    ended = {"status": "canceled", "ready": False, "finished_at": now()}
    await database.write(lambda tx: tx.execute(old.values(ended)))
    await database.write(lambda tx: tx.exec_driver_sql("ANALYZE"))

    def loops(tx: Connection) -> None:
        taken = claims.claim(tx, worker="w", lane=Lane.REMOTE, slots=5, lease=factories.LEASE)
        running = [claim_of(job) for job in taken.jobs]
        claims.renew(tx, worker="w", running=running, lease=factories.LEASE)
        moves.expired_leases(tx, limit=9)
        moves.expire(tx, error=factories.PROBLEM, limit=9)
        attempts.leftovers(tx, limit=9)
        lane_counts.lanes_due(tx)

    plans = await database.write(lambda tx: plans_of(tx, loops, database_kind))
    assert len(plans) >= 8
    for statement, plan in plans.items():
        assert not re.search(r"Seq Scan on jobs|SCAN (jobs|j|k)$", plan, re.MULTILINE), (
            f"{statement}\n{plan}"
        )


def plans_of(tx: Connection, work: Callable[[Connection], None], kind: str) -> dict[str, str]:
    """Return each statement that `work` runs with the database's plan for it."""
    seen: dict[str, Any] = {}

    def hear(*given: Any) -> None:
        _, _, statement, parameters, _, _ = given
        if "jobs" in statement and not statement.startswith("INSERT"):
            seen[statement] = parameters

    event.listen(tx, "before_cursor_execute", hear)
    work(tx)
    event.remove(tx, "before_cursor_execute", hear)
    explain = "EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN "
    if kind == "postgresql":
        tx.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a small table is read as a whole
    return {
        statement: "\n".join(
            str(row[-1]) for row in tx.exec_driver_sql(explain + statement, parameters)
        )
        for statement, parameters in seen.items()
    }

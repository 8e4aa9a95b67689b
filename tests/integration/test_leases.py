"""Leases: who renews keeps, who is silent loses, and what kills its workers is buried."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.jobs.job import MAX_CRASHES, Claim, Job, JobStatus
from safelight.jobs.ledger import attempts, moves
from safelight.jobs.scheduling import claims
from tests import factories
from tests.factories import PROBLEM, claim_of, job_row, reread

SHORT = timedelta(seconds=-1)  # has run out the moment it is given


async def expired(database: Database) -> list[Job]:
    return await database.write(lambda tx: moves.expired_leases(tx, limit=100))


async def renewed(database: Database, worker: str, jobs: list[Job]) -> set[Claim]:
    running = [claim_of(job) for job in jobs]
    return await database.write(
        lambda tx: claims.renew(tx, worker=worker, running=running, lease=factories.LEASE)
    )


async def test_renew_when_a_worker_runs_many_jobs_prolongs_all_of_them(
    database: Database, account: str
) -> None:
    await factories.queue_many(database, [job_row(account) for _ in range(50)])
    jobs = await factories.claim(database, worker="wrk_1", lease=SHORT)
    assert len(await expired(database)) == 50
    assert await renewed(database, "wrk_1", jobs) == {claim_of(job) for job in jobs}
    assert await expired(database) == []


async def test_renew_when_a_worker_runs_nothing_does_nothing(database: Database) -> None:
    assert await renewed(database, "wrk_1", []) == set()


async def test_renew_when_a_job_is_not_run_by_its_worker_lets_its_lease_end(
    database: Database, account: str
) -> None:
    """Such as one whose claim was committed while the connection broke: nobody runs it."""
    await factories.queue_many(database, [job_row(account) for _ in range(2)])
    run, lost = await factories.claim(database, worker="wrk_1", lease=SHORT)
    assert await renewed(database, "wrk_1", [run]) == {claim_of(run)}
    assert [job.id for job in await expired(database)] == [lost.id]


async def test_renew_when_jobs_were_canceled_or_taken_over_does_not_return_them(
    database: Database, account: str
) -> None:
    await factories.queue_many(database, [job_row(account) for _ in range(3)])
    kept, canceled, taken = await factories.claim(database, worker="wrk_1")
    await database.write(lambda tx: moves.cancel(tx, canceled.id))
    await database.write(lambda tx: moves.rescue(tx, [taken]))
    again = (await factories.claim(database, worker="wrk_2"))[0]
    held = await renewed(database, "wrk_1", [kept, canceled, taken])
    assert held == {claim_of(kept)}
    assert again.id == taken.id
    assert await renewed(database, "wrk_2", [again]) == {claim_of(again)}


async def test_renew_when_the_same_worker_claimed_a_job_anew_does_not_revive_the_old_claim(
    database: Database, account: str
) -> None:
    old = await factories.run_one(database, account)
    await database.write(lambda tx: moves.rescue(tx, [old]))
    new = (await factories.claim(database))[0]
    assert claim_of(old) not in await renewed(database, "wrk_1", [old])
    assert await renewed(database, "wrk_1", [new]) == {claim_of(new)}


async def test_rescue_when_the_lease_was_renewed_meanwhile_finds_nothing(
    database: Database, account: str
) -> None:
    await factories.queue(database, account)
    job = (await factories.claim(database, lease=SHORT))[0]
    await renewed(database, "wrk_1", [job])
    assert await expired(database) == []


def take_back(tx: Connection) -> list[Job]:
    found = moves.expired_leases(tx, limit=9)
    attempts.let_go(tx, found)
    return moves.rescue(tx, found)


async def test_rescue_when_a_worker_died_queues_the_job_at_once(
    database: Database, account: str
) -> None:
    await factories.queue(database, account)
    job = (await factories.claim(database, lease=SHORT))[0]
    rescued = (await database.write(take_back))[0]
    assert (rescued.id, rescued.status, rescued.ready) == (job.id, JobStatus.QUEUED, True)
    assert rescued.crashes == 1
    assert [found.id for found in await factories.claim(database)] == [job.id]


async def test_bury_when_the_third_worker_died_ends_the_job(
    database: Database, account: str
) -> None:
    job = await factories.queue(database, account)
    for crash in range(1, MAX_CRASHES):
        await factories.claim(database, lease=SHORT)
        assert (await database.write(take_back))[0].crashes == crash
    assert await factories.claim(database) == [], "after the second, it waits apart"
    await factories.make_due(database, job)
    last = (await factories.claim(database, lease=SHORT))[0]
    buried = await database.write(lambda tx: moves.bury(tx, last, error=PROBLEM))
    assert (buried.status, buried.crashes) == (JobStatus.FAILED, MAX_CRASHES)
    assert buried.error == PROBLEM
    assert (await database.read(lambda tx: reread(tx, job))).is_final


async def test_end_all_leases_when_a_process_is_alone_frees_what_the_dead_one_held(
    database: Database, account: str
) -> None:
    await factories.queue_many(database, [job_row(account) for _ in range(3)])
    held = await factories.claim(database, worker="wrk_dead")
    await factories.queue(database, account)
    assert await database.write(claims.end_all_leases) == 3
    assert {job.id for job in await expired(database)} == {job.id for job in held}


async def test_lease_when_given_ends_by_the_clock_of_the_database(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    query = sa.select(tables.jobs.c.leased_until, now()).where(tables.jobs.c.id == job.id)
    until, clock = await database.read(lambda tx: tx.execute(query).one())
    assert timedelta(seconds=25) < until - clock <= factories.LEASE

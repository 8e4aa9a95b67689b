"""Each move on both databases: from where it leads, who may make it, and what it tells."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from safelight import ids
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.jobs.job import EVENT_OF, FINAL, MOVES, Claim, Job, JobStatus, Move, StaleJob
from safelight.jobs.ledger import batch_store, job_events, moves, store
from safelight.jobs.scheduling import claims
from safelight.providers.errors import UnknownOutcome
from tests import factories
from tests.factories import PROBLEM, batch_row, claim_of, job_row, reread

WORKER_MOVES = (Move.PARK, Move.SUCCEED, Move.RETRY, Move.SNOOZE, Move.FAIL, Move.RELEASE)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


def park(tx: Connection, claim: Claim) -> Job:
    return factories.park(tx, claim, check_at=soon(), wakes=0, stage="far away", progress=20)


def only(found: list[Job], job_id: str) -> Job:
    if [job.id for job in found] != [job_id]:
        raise StaleJob(job_id)
    return found[0]


def claim(tx: Connection, job: Job) -> Job:
    """Claim whatever is there, whether it is due or not."""
    due = sa.update(tables.jobs).where(tables.jobs.c.id == job.id)
    tx.execute(due.values(run_at=now()))
    taken = claims.claim(tx, worker="w", lane=job.lane, slots=1, lease=factories.LEASE)
    return only(taken.jobs, job.id)


def expire(tx: Connection, job: Job) -> Job:
    late = sa.update(tables.jobs).where(tables.jobs.c.id == job.id)
    tx.execute(late.values(start_by=now(factories.LONG_AGO), started_at=None))
    return only(moves.expire(tx, error=PROBLEM, limit=9), job.id)


MOVERS: dict[Move, Callable[[Connection, Job], Job]] = {
    Move.CLAIM: claim,
    Move.PARK: lambda tx, job: park(tx, claim_of(job)),
    Move.SUCCEED: lambda tx, job: factories.succeed(tx, claim_of(job), cost_micros=5),
    Move.RETRY: lambda tx, job: moves.retry(tx, claim_of(job), at=soon(), error=PROBLEM),
    Move.SNOOZE: lambda tx, job: moves.snooze(tx, claim_of(job), until=soon(), reason="busy"),
    Move.RELEASE: lambda tx, job: only(moves.release(tx, [claim_of(job)]), job.id),
    Move.RESCUE: lambda tx, job: only(moves.rescue(tx, [job]), job.id),
    Move.BURY: lambda tx, job: moves.bury(tx, job, error=PROBLEM),
    Move.EXPIRE: expire,
    Move.FAIL: lambda tx, job: moves.fail(tx, claim_of(job), error=PROBLEM),
    Move.CANCEL: lambda tx, job: moves.cancel(tx, job.id),
    Move.REDRIVE: lambda tx, job: moves.redrive(tx, job.id),
}


async def job_in(database: Database, account: str, status: JobStatus) -> Job:
    """Return a job that came to `status` by ordinary moves."""
    if status is JobStatus.QUEUED:
        return await factories.queue(database, account)
    job = await factories.run_one(database, account)
    if status is JobStatus.WAITING:  # for its provider: a success is fenced by the open attempt
        await database.write(lambda tx: factories.send(tx, claim_of(job)))
    path = {
        JobStatus.WAITING: Move.PARK,
        JobStatus.SUCCEEDED: Move.SUCCEED,
        JobStatus.FAILED: Move.FAIL,
        JobStatus.CANCELED: Move.CANCEL,
    }
    if status in path:
        return await database.write(lambda tx: MOVERS[path[status]](tx, job))
    return job


async def failed_as_unknown(database: Database, account: str) -> Job:
    """Return a failed job whose result may yet be found."""
    job = await factories.run_one(database, account)
    await database.write(lambda tx: factories.send(tx, claim_of(job)))
    error = UnknownOutcome().problem()
    return await database.write(lambda tx: moves.fail(tx, claim_of(job), error=error))


async def events_of(database: Database, subject: str) -> list[tuple[int, str]]:
    query = (
        sa.select(tables.events.c.seq, tables.events.c.type)
        .where(tables.events.c.subject == subject)
        .order_by(tables.events.c.seq)
    )
    return [(seq, kind) for seq, kind in await database.read(lambda tx: tx.execute(query).all())]


# --- sources and targets ---------------------------------------------------------------------


@pytest.mark.parametrize("move", Move)
async def test_move_when_tried_from_every_status_works_from_its_sources_alone(
    database: Database, account: str, move: Move
) -> None:
    sources, targets = MOVES[move]
    for status in JobStatus:
        if (move, status) == (Move.SUCCEED, JobStatus.FAILED):
            job = await failed_as_unknown(database, account)
        else:
            job = await job_in(database, account, status)
        before = await events_of(database, job.id)
        if status in sources:
            moved = await database.write(lambda tx, job=job: MOVERS[move](tx, job))
            assert moved.status in targets
            assert (moved.finished_at is not None) == (moved.status in FINAL)
            assert (moved.leased_until is not None) == (moved.status is JobStatus.RUNNING)
            assert await database.read(lambda tx, job=job: reread(tx, job)) == moved
        else:
            with pytest.raises(StaleJob):
                await database.write(lambda tx, job=job: MOVERS[move](tx, job))
            assert await database.read(lambda tx, job=job: reread(tx, job)) == job
            assert await events_of(database, job.id) == before
        await database.write(lambda tx, job=job: _out_of_the_way(tx, job))


def _out_of_the_way(tx: Connection, job: Job) -> None:
    """Let no later claim of a test find this job."""
    tx.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job.id).values(lane="gone"))


async def test_success_when_its_job_failed_for_another_reason_is_refused(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    await database.write(lambda tx: factories.send(tx, claim_of(job)))
    failed = await database.write(lambda tx: moves.fail(tx, claim_of(job), error=PROBLEM))
    with pytest.raises(StaleJob):
        await database.write(lambda tx: factories.succeed(tx, claim_of(failed), cost_micros=5))


@pytest.mark.parametrize("move", WORKER_MOVES)
async def test_worker_s_move_when_another_claim_came_since_is_refused(
    database: Database, account: str, move: Move
) -> None:
    old = await factories.run_one(database, account)
    await database.write(lambda tx: moves.release(tx, [claim_of(old)]))
    new = (await factories.claim(database, worker="wrk_2"))[0]
    assert new.id == old.id
    assert new.fence != old.fence
    with pytest.raises(StaleJob):
        await database.write(lambda tx: MOVERS[move](tx, old))
    assert await database.read(lambda tx: reread(tx, new)) == new
    assert (await database.write(lambda tx: MOVERS[move](tx, new))).status in MOVES[move][1]


async def test_progress_when_the_claim_is_void_is_refused(database: Database, account: str) -> None:
    job = await factories.run_one(database, account)
    claim = claim_of(job)
    told = await database.write(lambda tx: factories.report(tx, claim, percent=40, stage="half"))
    assert (told.progress, told.stage, told.status) == (40.0, "half", JobStatus.RUNNING)
    await database.write(lambda tx: moves.release(tx, [claim]))
    new = (await factories.claim(database))[0]
    with pytest.raises(StaleJob):
        await database.write(lambda tx: factories.report(tx, claim, percent=50, stage="more"))
    await database.write(lambda tx: factories.report(tx, claim_of(new), percent=50, stage="more"))
    await database.write(lambda tx: moves.cancel(tx, job.id))
    with pytest.raises(StaleJob):
        await database.write(lambda tx: factories.report(tx, claim_of(new), percent=60, stage=""))


# --- what a move does besides ----------------------------------------------------------------


async def test_queue_when_a_start_time_is_given_is_not_ready(
    database: Database, account: str
) -> None:
    later = soon()
    job = await factories.queue(database, account, run_at=later)
    assert (job.status, job.ready, job.run_at) == (JobStatus.QUEUED, False, later)
    at_once = await factories.queue(database, account)
    assert at_once.ready
    assert abs(at_once.run_at - at_once.created_at) < timedelta(seconds=1)


async def test_queue_when_rows_are_of_both_kinds_keeps_their_order(
    database: Database, account: str
) -> None:
    rows = [job_row(account, run_at=soon() if index % 2 else None) for index in range(6)]
    made = await factories.queue_many(database, rows)
    assert [job.id for job in made] == [row["id"] for row in rows]
    assert [job.ready for job in made] == [True, False] * 3
    assert await factories.queue_many(database, []) == []


async def test_park_when_a_callback_came_since_the_claim_is_due_at_once(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    await database.write(
        lambda tx: tx.execute(sa.update(tables.jobs).values(wakes=tables.jobs.c.wakes + 1))
    )
    parked = await database.write(lambda tx: park(tx, claim_of(job)))
    assert parked.run_at < datetime.now(UTC) + timedelta(seconds=5)


async def test_park_when_nothing_new_was_learned_is_silent(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    parked = await database.write(lambda tx: park(tx, claim_of(job)))
    told = await events_of(database, job.id)
    assert told[-1][1] == "job.waiting"
    again = await database.write(lambda tx: park(tx, claim_of(claim(tx, parked))))
    assert (again.status, again.seq) == (JobStatus.WAITING, parked.seq)
    assert await events_of(database, job.id) == told


async def test_retry_and_snooze_when_made_are_not_ready_before_their_time(
    database: Database, account: str
) -> None:
    for move in (Move.RETRY, Move.SNOOZE):
        job = await factories.run_one(database, account)
        moved = await database.write(lambda tx, m=move, job=job: MOVERS[m](tx, job))
        assert not moved.ready
        assert moved.run_at > datetime.now(UTC) + timedelta(seconds=30)


async def test_redrive_when_made_gives_the_job_all_its_attempts_again(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, start_by=soon())
    await database.write(lambda tx: moves.fail(tx, claim_of(job), error=PROBLEM))
    anew = await database.write(lambda tx: moves.redrive(tx, job.id))
    assert (anew.attempts, anew.crashes, anew.error, anew.started_at) == (0, 0, None, None)
    assert (anew.ready, anew.start_by, anew.finished_at) == (True, None, None)


async def test_expire_when_a_job_has_started_before_leaves_it_to_its_retry(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, start_by=soon())
    await database.write(lambda tx: moves.retry(tx, claim_of(job), at=soon(), error=PROBLEM))
    past = sa.update(tables.jobs).values(start_by=now(factories.LONG_AGO))
    await database.write(lambda tx: tx.execute(past))
    assert await database.write(lambda tx: moves.expire(tx, error=PROBLEM, limit=9)) == []


async def test_delete_when_a_job_is_not_final_leaves_it(database: Database, account: str) -> None:
    job = await factories.run_one(database, account)
    await database.write(lambda tx: store.delete(tx, job.id))
    await database.write(lambda tx: factories.succeed(tx, claim_of(job), cost_micros=0))
    await database.write(lambda tx: store.delete(tx, job.id))
    assert await database.read(lambda tx: store.get(tx, account, job.id)) is None


# --- what the database itself refuses ---------------------------------------------------------


@pytest.mark.parametrize(
    "nonsense",
    [
        "status = 'done'",
        "status = 'running'",
        "status = 'succeeded'",
        "status = 'failed', finished_at = created_at",
        "status = 'succeeded', finished_at = created_at, error = '{}', ready = false",
        "status = 'waiting'",
        "finished_at = created_at",
        "leased_by = 'me'",
        "leased_until = created_at",
        "leased_by = 'me', leased_until = created_at",
        "progress = 101",
        "progress = -1",
        "batch_index = 1",
        "account_id = 'acc_nobody'",
        "batch_id = 'bat_nobody', batch_index = 0",
        "prompt = NULL",
    ],
)
async def test_database_when_told_nonsense_refuses_it(
    database: Database, account: str, nonsense: str
) -> None:
    await factories.queue(database, account)
    statement = " ".join(["UPDATE jobs SET", nonsense])
    with pytest.raises(IntegrityError):
        await database.write(lambda tx: tx.exec_driver_sql(statement))


# --- events ----------------------------------------------------------------------------------


async def test_events_when_a_job_lives_a_full_life_count_without_a_gap(
    database: Database, account: str
) -> None:
    job = await factories.queue(database, account)
    life = [
        Move.CLAIM,
        Move.RETRY,
        Move.CLAIM,
        Move.PARK,
        Move.CLAIM,
        Move.RELEASE,
        Move.CLAIM,
        Move.FAIL,
        Move.REDRIVE,
        Move.CANCEL,
        Move.REDRIVE,
        Move.CLAIM,
        Move.SUCCEED,
    ]
    expected = ["job.queued"]
    for move in life:
        waiting = job.status is JobStatus.WAITING
        job = await database.write(lambda tx, m=move, job=job: MOVERS[m](tx, job))
        if not (waiting and move is Move.CLAIM):
            expected.append(EVENT_OF[move])
    told = await events_of(database, job.id)
    assert told == list(enumerate(expected, 1))
    assert job.seq == len(told)


async def test_events_when_their_move_is_undone_are_undone_too(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    before = await events_of(database, job.id)

    def undone(tx: Connection) -> None:
        factories.succeed(tx, claim_of(job), cost_micros=0)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(undone)
    assert await events_of(database, job.id) == before
    assert await database.read(lambda tx: reread(tx, job)) == job


# --- batches ---------------------------------------------------------------------------------


async def batch_of(database: Database, account: str, size: int) -> tuple[str, list[Job]]:
    batch_id = ids.new("batch")
    rows = [job_row(account, batch_id=batch_id, batch_index=index) for index in range(size)]

    def write(tx: Connection) -> list[Job]:
        batch_store.insert(tx, batch_row(account, id=batch_id))
        return store.insert(tx, rows)

    await database.write(write)
    return batch_id, await factories.claim(database)


async def test_batch_when_its_last_jobs_end_at_once_is_finished_once(
    database: Database, account: str
) -> None:
    for _ in range(5):
        batch_id, jobs = await batch_of(database, account, 6)
        await asyncio.gather(
            *(
                database.write(
                    lambda tx, job=job: factories.succeed(tx, claim_of(job), cost_micros=None)
                )
                for job in jobs
            )
        )
        assert await events_of(database, batch_id) == [(1, "batch.created"), (2, "batch.finished")]


async def test_batch_when_one_job_is_left_is_not_finished(database: Database, account: str) -> None:
    batch_id, jobs = await batch_of(database, account, 3)
    await database.write(lambda tx: moves.fail(tx, claim_of(jobs[0]), error=PROBLEM))
    await database.write(lambda tx: moves.cancel(tx, jobs[1].id))
    batch = await database.read(lambda tx: batch_store.get(tx, account, batch_id))
    assert batch is not None
    assert batch.finished_at is None


async def test_batch_when_a_job_is_redriven_opens_and_finishes_again(
    database: Database, account: str
) -> None:
    batch_id, jobs = await batch_of(database, account, 1)
    await database.write(lambda tx: moves.fail(tx, claim_of(jobs[0]), error=PROBLEM))
    await database.write(lambda tx: moves.redrive(tx, jobs[0].id))
    batch = await database.read(lambda tx: batch_store.get(tx, account, batch_id))
    assert batch is not None
    assert batch.finished_at is None
    await database.write(lambda tx: moves.cancel(tx, jobs[0].id))
    assert [kind for _, kind in await events_of(database, batch_id)] == [
        "batch.created",
        "batch.finished",
        "batch.finished",
    ]


async def test_batch_when_none_of_its_items_became_a_job_is_finished_at_once(
    database: Database, account: str
) -> None:
    row = batch_row(account, problems=[{"index": 0, "name": "a", "problem": {}}])

    def write(tx: Connection) -> None:
        batch_store.insert(tx, row)
        job_events.finish_if_empty(tx, row["id"])

    await database.write(write)
    assert [kind for _, kind in await events_of(database, row["id"])][-1] == "batch.finished"


async def test_batch_when_two_jobs_take_one_place_is_refused(
    database: Database, account: str
) -> None:
    batch_id, _ = await batch_of(database, account, 1)
    with pytest.raises(IntegrityError):
        await factories.queue(database, account, batch_id=batch_id, batch_index=0)

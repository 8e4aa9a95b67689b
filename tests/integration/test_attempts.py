"""The ledger of attempts: what was sent is never sent again, and no ticket or cost gets lost."""

import asyncio
import time

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from safelight.db import tables
from safelight.db.engine import Database
from safelight.errors import WrongState
from safelight.jobs.job import (
    WITHOUT_TICKET,
    Attempt,
    AttemptState,
    Ground,
    Job,
    JobStatus,
    Outcome,
    StaleJob,
)
from safelight.jobs.ledger import attempts, moves
from safelight.jobs.ledger.attempts import Closing
from safelight.jobs.service import Jobs
from tests import factories
from tests.factories import PROBLEM, claim_of, reread


async def sent(database: Database, job: Job) -> Attempt:
    made = await database.write(lambda tx: factories.send(tx, claim_of(job), "fake"))
    assert made is not None
    return made


async def ticketed(database: Database, job: Job, ticket: str = "t1") -> Attempt:
    made = await sent(database, job)
    assert await database.write(lambda tx: factories.keep_ticket(tx, made.id, ticket))
    return made


async def ledger(database: Database, job: Job) -> list[Attempt]:
    return await database.read(lambda tx: attempts.of_job(tx, job.id))


def let_go(tx: Connection, job: Job) -> Job:
    attempts.let_go(tx, [job])
    return moves.rescue(tx, [job])[0]


# --- sending ---------------------------------------------------------------------------------


async def test_send_when_the_claim_holds_opens_an_attempt_and_counts_it(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    made = await sent(database, job)
    assert (made.state, made.number, made.outcome) == (AttemptState.SENT, 1, None)
    assert made.sent_at is not None
    assert await database.read(lambda tx: attempts.current(tx, job.id)) == made
    assert (await database.read(lambda tx: reread(tx, job))).attempts == 1


async def test_send_when_the_claim_is_void_writes_nothing(database: Database, account: str) -> None:
    job = await factories.run_one(database, account)
    await database.write(lambda tx: moves.release(tx, [claim_of(job)]))
    with pytest.raises(StaleJob):
        await database.write(lambda tx: factories.send(tx, claim_of(job)))
    assert await ledger(database, job) == []
    assert (await database.read(lambda tx: reread(tx, job))).attempts == 0


@pytest.mark.parametrize("state", ["sent", "ticketed", "unknown"])
async def test_send_when_an_attempt_is_open_is_refused_by_the_database(
    database: Database, account: str, state: str
) -> None:
    job = await factories.run_one(database, account)
    await ticketed(database, job)
    await database.write(lambda tx: tx.execute(sa.update(tables.attempts).values(state=state)))
    with pytest.raises(IntegrityError):
        await sent(database, job)
    assert len(await ledger(database, job)) == 1


async def test_send_when_two_race_opens_one(database: Database, account: str) -> None:
    job = await factories.run_one(database, account)
    answers = await asyncio.gather(*(sent(database, job) for _ in range(4)), return_exceptions=True)
    assert sorted(isinstance(answer, Attempt) for answer in answers) == [False] * 3 + [True]


async def test_send_when_the_last_attempt_is_closed_is_numbered_on(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    for number in (1, 2, 3):
        made = await sent(database, job)
        assert made.number == number
        await database.write(lambda tx, a=made.id: factories.close(tx, a, Outcome.FAILED))
    assert [attempt.number for attempt in await ledger(database, job)] == [1, 2, 3]


# --- tickets and costs -----------------------------------------------------------------------


async def test_ticket_when_the_job_was_taken_away_is_kept_all_the_same(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, repeatable=False)
    made = await sent(database, job)
    await database.write(lambda tx: let_go(tx, job))
    assert await database.write(lambda tx: factories.keep_ticket(tx, made.id, "t1"))
    kept = await database.read(lambda tx: attempts.current(tx, job.id))
    assert kept is not None
    assert (kept.state, kept.ticket) == (AttemptState.TICKETED, "t1")


async def test_ticket_when_it_changes_keeps_its_first_time(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    made = await ticketed(database, job)
    first = (await ledger(database, job))[0]
    assert await database.write(lambda tx: factories.keep_ticket(tx, made.id, "t2"))
    later = (await ledger(database, job))[0]
    assert (later.ticket, later.ticketed_at) == ("t2", first.ticketed_at)


async def test_ticket_when_the_attempt_is_closed_is_told_so(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    made = await sent(database, job)
    await database.write(lambda tx: factories.close(tx, made.id, Outcome.CANCELED))
    assert not await database.write(lambda tx: factories.keep_ticket(tx, made.id, "t1"))
    assert not await database.write(lambda tx: factories.keep_ticket(tx, "att_none", "t1"))


async def test_close_when_it_was_closed_before_keeps_the_outcome_and_takes_a_missing_cost(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    made = await sent(database, job)
    assert await database.write(lambda tx: factories.close(tx, made.id, Outcome.CANCELED))
    for cost in (70, 90):
        assert not await database.write(
            lambda tx, c=cost: factories.close(tx, made.id, Outcome.SUCCEEDED, cost_micros=c)
        )
    closed = (await ledger(database, job))[0]
    assert (closed.outcome, closed.cost_micros) == (Outcome.CANCELED, 70)


async def test_cost_when_unknown_stays_null_and_free_is_zero(
    database: Database, account: str
) -> None:
    for cost in (None, 0):
        job = await factories.run_one(database, account)
        made = await sent(database, job)
        await database.write(
            lambda tx, a=made.id, c=cost: factories.close(tx, a, Outcome.FAILED, cost_micros=c)
        )
        assert (await ledger(database, job))[0].cost_micros == cost


# --- the database refuses --------------------------------------------------------------------


@pytest.mark.parametrize(
    "nonsense",
    [
        "state = 'closed'",
        "state = 'closed', outcome = 'failed'",
        "outcome = 'failed'",
        "closed_at = created_at",
        "state = 'ticketed'",
        "state = 'lost'",
        "state = 'closed', closed_at = created_at, outcome = 'unknown'",
        "job_id = 'job_nobody'",
    ],
)
async def test_database_when_told_nonsense_of_an_attempt_refuses_it(
    database: Database, account: str, nonsense: str
) -> None:
    await sent(database, await factories.run_one(database, account))
    statement = " ".join(["UPDATE attempts SET", nonsense])
    with pytest.raises(IntegrityError):
        await database.write(lambda tx: tx.exec_driver_sql(statement))


# --- workers that die ------------------------------------------------------------------------


async def test_let_go_when_the_work_is_repeatable_loses_the_attempt_and_gives_the_try_back(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, repeatable=True)
    await sent(database, job)
    rescued = await database.write(lambda tx: let_go(tx, job))
    assert (rescued.status, rescued.attempts, rescued.crashes) == (JobStatus.QUEUED, 0, 1)
    assert [attempt.outcome for attempt in await ledger(database, job)] == [Outcome.LOST]


async def test_let_go_when_the_work_may_be_paid_never_queues_it_again(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, repeatable=False)
    await sent(database, job)
    rescued = await database.write(lambda tx: let_go(tx, job))
    assert (rescued.status, rescued.attempts) == (JobStatus.WAITING, 1)
    again = (await factories.claim(database))[0]
    assert again.id == job.id
    with pytest.raises(IntegrityError):
        await sent(database, again)
    assert [attempt.state for attempt in await ledger(database, job)] == [AttemptState.UNKNOWN]


@pytest.mark.parametrize("repeatable", [True, False])
async def test_let_go_when_there_is_a_ticket_leaves_it_to_be_resumed(
    database: Database, account: str, repeatable: bool
) -> None:
    job = await factories.run_one(database, account, repeatable=repeatable)
    await ticketed(database, job)
    rescued = await database.write(lambda tx: let_go(tx, job))
    assert (rescued.status, rescued.attempts) == (JobStatus.WAITING, 1)
    assert [attempt.state for attempt in await ledger(database, job)] == [AttemptState.TICKETED]


async def test_let_go_when_nothing_was_sent_just_queues_the_job(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, repeatable=False)
    rescued = await database.write(lambda tx: let_go(tx, job))
    assert (rescued.status, rescued.ready, rescued.attempts) == (JobStatus.QUEUED, True, 0)


# --- what ended jobs leave behind ------------------------------------------------------------


async def test_leftovers_when_jobs_are_final_are_their_open_attempts_until_postponed(
    database: Database, account: str
) -> None:
    canceled = [await factories.run_one(database, account) for _ in range(5)]
    running = await factories.run_one(database, account)
    for job in (*canceled, running):
        await ticketed(database, job)
    for job in canceled:
        await database.write(lambda tx, job=job: moves.cancel(tx, job.id))
    found: list[Attempt] = []
    while page := await database.read(lambda tx: attempts.leftovers(tx, limit=2)):
        found += page
        for attempt in page:
            await database.write(
                lambda tx, a=attempt: attempts.postpone(tx, a, factories.LEASE, asked=True)
            )
    assert [attempt.job_id for attempt in found] == [job.id for job in canceled]


async def redriven(jobs: Jobs, database: Database, job: Job) -> Job:
    assert await database.read(lambda tx: attempts.current(tx, job.id)) is not None
    return await jobs.redrive(job.account_id, job.id)


async def test_redrive_when_an_unknown_attempt_is_open_settles_it_first(
    jobs: Jobs, database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, repeatable=False)
    await sent(database, job)
    await database.write(lambda tx: moves.fail(tx, claim_of(job), error=PROBLEM))
    assert (await redriven(jobs, database, job)).status is JobStatus.QUEUED
    assert [attempt.outcome for attempt in await ledger(database, job)] == [Outcome.LOST]
    assert await sent(database, (await factories.claim(database))[0])


async def test_redrive_when_the_provider_still_works_is_refused(
    jobs: Jobs, database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    await ticketed(database, job)
    await database.write(lambda tx: moves.cancel(tx, job.id))
    with pytest.raises(WrongState):
        await redriven(jobs, database, job)


async def test_delete_when_an_attempt_is_open_is_refused_until_it_is_settled(
    jobs: Jobs, database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    made = await ticketed(database, job)
    await jobs.cancel(account, job.id)
    with pytest.raises(WrongState):
        await jobs.delete(account, job.id, actor="key_1")
    await database.write(lambda tx: factories.close(tx, made.id, Outcome.CANCELED))
    await jobs.delete(account, job.id, actor="key_1")
    assert await ledger(database, job) == []


def _await_somebody_who_waits(tx: Connection) -> None:
    """Return once another transaction waits for a lock of this one; on SQLite none can."""
    if tx.dialect.name != "postgresql":
        return
    deadline = time.monotonic() + 20
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while not tx.scalar(waiting):
        assert time.monotonic() < deadline, "nobody waits"
        tx.execute(sa.text("SELECT pg_sleep(0.01)"))


async def test_cost_when_it_comes_while_its_job_ends_is_on_the_job(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, repeatable=False)
    attempt = await database.write(lambda tx: factories.send(tx, claim_of(job)))
    loop, is_locked = asyncio.get_running_loop(), asyncio.Event()

    def bring_word(tx: Connection) -> None:
        factories.close(tx, attempt.id, Outcome.FAILED, cost_micros=70)
        loop.call_soon_threadsafe(is_locked.set)
        _await_somebody_who_waits(tx)

    async def cancel() -> Job:
        await is_locked.wait()
        return await database.write(lambda tx: moves.cancel(tx, job.id))

    canceled, _ = await asyncio.gather(cancel(), database.write(bring_word))
    row = await database.read(lambda tx: factories.reread(tx, job))
    assert (row.status, row.cost_micros, row.cost_known_micros) == (JobStatus.CANCELED, 70, 70)
    assert canceled.cost_micros == 70


async def test_result_when_its_attempt_is_closed_at_the_same_time_is_not_taken(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    attempt = await database.write(lambda tx: factories.send(tx, claim_of(job)))
    loop, is_locked = asyncio.get_running_loop(), asyncio.Event()

    def bring_word(tx: Connection) -> None:
        factories.close(tx, attempt.id, Outcome.FAILED)
        loop.call_soon_threadsafe(is_locked.set)
        _await_somebody_who_waits(tx)

    async def succeed() -> object:
        await is_locked.wait()
        finish = moves.Finish(job.id, attempt.id, 10)
        return (await database.write(lambda tx: moves.succeed_all(tx, [finish])))[0]

    found, _ = await asyncio.gather(succeed(), database.write(bring_word))
    assert isinstance(found, StaleJob)


async def test_let_go_when_the_ticket_comes_at_the_same_time_leaves_it_to_be_resumed(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account, repeatable=True)
    attempt = await sent(database, job)
    loop, is_locked = asyncio.get_running_loop(), asyncio.Event()

    def bring_ticket(tx: Connection) -> None:
        assert factories.keep_ticket(tx, attempt.id, "t1")
        loop.call_soon_threadsafe(is_locked.set)
        _await_somebody_who_waits(tx)

    async def rescue() -> Job:
        await is_locked.wait()
        return await database.write(lambda tx: let_go(tx, job))

    rescued, _ = await asyncio.gather(rescue(), database.write(bring_ticket))
    assert (rescued.status, rescued.attempts) == (JobStatus.WAITING, 1)
    (kept,) = await ledger(database, job)
    assert (kept.state, kept.ticket, kept.cost_micros) == (AttemptState.TICKETED, "t1", None)


@pytest.mark.parametrize("ground", sorted(WITHOUT_TICKET))
async def test_close_when_a_ticket_came_meanwhile_is_no_fact_any_more(
    database: Database, account: str, ground: Ground
) -> None:
    job = await factories.run_one(database, account)
    attempt = await ticketed(database, job)
    closing = Closing(Outcome.LOST, ground)
    assert not await database.write(lambda tx: attempts.close(tx, attempt.id, closing))
    (kept,) = await ledger(database, job)
    assert (kept.state, kept.cost_micros) == (AttemptState.TICKETED, None)

"""Operations: lanes are counted cheaply and pause starts alone; dead letters come back once."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.errors import NotFound
from safelight.jobs.job import Job, JobStatus, Outcome
from safelight.jobs.ledger import batch_store, dead_letters, moves, old_rows
from safelight.jobs.ledger.dead_letters import Mark, Which
from safelight.jobs.operations import Operations, Overview, Redrive
from safelight.jobs.scheduling import lane_counts
from safelight.jobs.scheduling.lane_counts import InFlight, LaneCount
from safelight.providers.provider import Lane
from tests import factories, grown
from tests.factories import claim_of, job_row

HOUR = timedelta(hours=1)
EVERYTHING = Which()


@pytest.fixture
def operations(database: Database) -> Operations:
    return Operations(database)


async def lane_of(operations: Operations, name: str = Lane.REMOTE) -> LaneCount:
    return {lane.name: lane for lane in (await operations.overview()).lanes}[name]


async def change(database: Database, job: Job, **values: Any) -> None:
    statement = sa.update(tables.jobs).where(tables.jobs.c.id == job.id).values(values)
    await database.write(lambda tx: tx.execute(statement))


async def failed(
    database: Database, account: str, count: int = 1, *, code: str = "internal", **changes: Any
) -> list[Job]:
    """Jobs that failed one after the other, the first one first."""
    made = await factories.queue_many(database, [job_row(account, **changes) for _ in range(count)])
    lane = str(changes.get("lane", Lane.REMOTE))
    claimed = {job.id: job for job in await factories.claim(database, lane=lane, slots=10_000)}

    def end(tx: Connection) -> list[Job]:
        error = factories.PROBLEM | {"code": code}
        return [moves.fail(tx, claim_of(claimed[job.id]), error=error) for job in made]

    return await database.write(end)


async def statuses(database: Database, jobs: list[Job]) -> list[JobStatus]:
    return [
        (await database.read(lambda tx, job=job: factories.reread(tx, job))).status for job in jobs
    ]


# --- lanes -----------------------------------------------------------------------------------


async def test_overview_when_nothing_was_ever_queued_shows_every_lane_at_rest(
    operations: Operations,
) -> None:
    rest = InFlight(0, 0)
    assert await operations.overview() == Overview(
        [LaneCount(name, None, 0, 0, 0, None, rest) for name in sorted(map(str, Lane))], []
    )


async def test_overview_when_there_is_work_counts_it_by_lane_and_by_provider(
    operations: Operations, database: Database, account: str
) -> None:
    parked, _ = await factories.queue_many(database, [job_row(account), job_row(account)])
    claims = {job.id: claim_of(job) for job in await factories.claim(database)}
    due = datetime.now(UTC) - HOUR
    await database.write(
        lambda tx: factories.park(
            tx, claims[parked.id], check_at=due, wakes=0, stage="", progress=0
        )
    )
    waits_longest = await factories.queue(database, account)
    await change(database, waits_longest, run_at=now(-2 * HOUR))
    await factories.queue(database, account, provider="other")
    await factories.queue(database, account, run_at=datetime.now(UTC) + HOUR)
    await factories.queue(database, account, lane="odd", run_at=datetime.now(UTC) + HOUR)

    found = await operations.overview()

    lanes = {lane.name: lane for lane in found.lanes}
    assert set(lanes) == {*map(str, Lane), "odd"}
    remote = lanes["remote"]
    assert (remote.ready, remote.due_checks, remote.delayed, remote.due) == (2, 1, 1, 3)
    assert remote.in_flight == InFlight(running=1, waiting=1)
    assert remote.oldest_wait == pytest.approx(2 * HOUR, abs=timedelta(minutes=1))
    assert (lanes["odd"].ready, lanes["odd"].delayed, lanes["odd"].oldest_wait) == (0, 1, None)
    assert [(one.name, one.ready, one.in_flight.total) for one in found.providers] == [
        ("fake", 1, 2),
        ("other", 1, 0),
    ]


async def test_lanes_due_when_asked_names_those_with_something_to_do_now(
    database: Database, account: str
) -> None:
    assert await database.read(lane_counts.lanes_due) == []
    job = await factories.run_one(database, account)
    later = datetime.now(UTC) + HOUR
    await database.write(
        lambda tx: factories.park(tx, claim_of(job), check_at=later, wakes=0, stage="", progress=0)
    )
    await factories.queue(database, account, lane=Lane.GPU, run_at=later)
    await factories.queue(database, account, lane=Lane.LOCAL)
    assert await database.read(lane_counts.lanes_due) == ["local"]
    await change(database, job, run_at=now(-HOUR))
    assert await database.read(lane_counts.lanes_due) == ["local", "remote"]


async def test_pause_when_repeated_keeps_its_time_and_stops_starts_alone(
    operations: Operations, database: Database, account: str
) -> None:
    checked = await factories.run_one(database, account)
    await database.write(
        lambda tx: factories.park(
            tx, claim_of(checked), check_at=datetime.now(UTC), wakes=0, stage="", progress=0
        )
    )
    queued = await factories.queue(database, account)
    since = await operations.pause("remote")
    assert await operations.pause("remote") == since
    assert (await lane_of(operations)).paused_at == since
    assert [job.id for job in await factories.claim(database)] == [checked.id]

    await operations.resume("remote")
    await operations.resume("remote")
    assert (await lane_of(operations)).paused_at is None
    assert [job.id for job in await factories.claim(database)] == [queued.id]


async def test_pause_when_there_is_no_such_lane_is_refused(
    operations: Operations, database: Database, account: str
) -> None:
    with pytest.raises(NotFound):
        await operations.pause("odd")
    with pytest.raises(NotFound):
        await operations.resume("odd")
    await factories.queue(database, account, lane="odd")
    await operations.pause("odd")
    assert await factories.claim(database, lane="odd") == []


# --- dead letters ----------------------------------------------------------------------------


async def test_dead_letters_when_there_are_many_come_newest_first_in_pages(
    operations: Operations, database: Database, account: str
) -> None:
    others = await factories.new_account(database)
    letters = await failed(database, account, 3) + await failed(database, others, 2)
    await factories.queue(database, account)
    seen: list[str] = []
    mark: Mark | None = None
    while not seen or mark is not None:
        page = await operations.dead_letters(EVERYTHING, after=mark, limit=2)
        assert len(page.jobs) <= 2
        seen += [job.id for job in page.jobs]
        mark = page.last
    newest_first = sorted(letters, key=lambda job: (job.finished_at, job.id), reverse=True)
    assert seen == [job.id for job in newest_first]


async def test_dead_letters_when_several_ended_at_one_instant_come_once_each(
    operations: Operations, database: Database, account: str
) -> None:
    letters = await failed(database, account, 5)
    same = sa.update(tables.jobs).values(finished_at=now(-HOUR))
    await database.write(lambda tx: tx.execute(same))
    first = await operations.dead_letters(EVERYTHING, after=None, limit=3)
    rest = await operations.dead_letters(EVERYTHING, after=first.last, limit=3)
    seen = [job.id for job in first.jobs + rest.jobs]
    assert sorted(seen) == sorted(job.id for job in letters)


async def test_dead_letters_when_filtered_are_those_alone(
    operations: Operations, database: Database, account: str
) -> None:
    (odd,) = await failed(
        database,
        await factories.new_account(database),
        code="timed_out",
        model="odd",
        provider="rare",
        lane=Lane.GPU,
        kind="image_to_3d",
    )
    (usual,) = await failed(database, account)
    await change(database, odd, finished_at=now(-2 * HOUR))
    hour_ago = datetime.now(UTC) - HOUR
    for which in (
        Which(account_id=odd.account_id),
        Which(model="odd"),
        Which(provider="rare"),
        Which(lane="gpu"),
        Which(kind="image_to_3d"),
        Which(code="timed_out"),
        Which(finished_before=hour_ago),
    ):
        found = await operations.dead_letters(which, after=None, limit=9)
        assert [job.id for job in found.jobs] == [odd.id], which
    found = await operations.dead_letters(Which(finished_after=hour_ago), after=None, limit=9)
    assert [job.id for job in found.jobs] == [usual.id]


async def test_redrive_when_there_are_more_than_one_page_queues_each_with_its_event(
    operations: Operations, database: Database, account: str
) -> None:
    letters = await failed(database, account, 130)
    assert await operations.redrive(EVERYTHING, limit=1_000) == Redrive(
        130, 0, frozenset({"remote"}), frozenset(), None
    )
    assert set(await statuses(database, letters)) == {JobStatus.QUEUED}
    queued = sa.select(tables.events.c.subject).where(tables.events.c.type == "job.queued")
    counts = Counter(await database.read(lambda tx: list(tx.scalars(queued))))
    assert set(counts.values()) == {2}, "when it was sent, and when it was redriven"


async def test_redrive_when_limited_takes_the_newest_and_the_next_call_goes_on(
    operations: Operations, database: Database, account: str
) -> None:
    letters = await failed(database, account, 5)
    assert (await operations.redrive(EVERYTHING, limit=3)).redriven == 3
    assert await statuses(database, letters) == [JobStatus.FAILED] * 2 + [JobStatus.QUEUED] * 3
    assert (await operations.redrive(EVERYTHING, limit=3)).redriven == 2


async def test_redrive_when_filtered_by_account_leaves_those_of_others(
    operations: Operations, database: Database, account: str
) -> None:
    mine = await failed(database, account, 2)
    theirs = await failed(database, await factories.new_account(database), 2)
    done = await operations.redrive(Which(account_id=account), limit=9)
    assert done.redriven == 2
    assert set(await statuses(database, mine)) == {JobStatus.QUEUED}
    assert set(await statuses(database, theirs)) == {JobStatus.FAILED}


async def test_redrive_when_an_attempt_is_still_open_skips_its_job_until_it_is_settled(
    operations: Operations, database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    attempt = await database.write(lambda tx: factories.send(tx, claim_of(job)))
    await database.write(lambda tx: factories.keep_ticket(tx, attempt.id, "ticket"))
    await database.write(lambda tx: moves.fail(tx, claim_of(job), error=factories.PROBLEM))
    nothing = frozenset[str]()
    assert await operations.redrive(EVERYTHING, limit=9) == Redrive(0, 1, nothing, nothing, None)
    await database.write(lambda tx: factories.close(tx, attempt.id, Outcome.CANCELED))
    assert (await operations.redrive(EVERYTHING, limit=9)).redriven == 1


async def test_redrive_when_jobs_belong_to_a_batch_opens_it_again(
    operations: Operations, database: Database, account: str
) -> None:
    row = factories.batch_row(account)
    batch = await database.write(lambda tx: batch_store.insert(tx, row))
    jobs = await factories.queue_many(
        database, [job_row(account, batch_id=batch.id, batch_index=index) for index in range(2)]
    )
    for claimed in await factories.claim(database):
        await database.write(
            lambda tx, job=claimed: moves.fail(tx, claim_of(job), error=factories.PROBLEM)
        )
    done = await operations.redrive(EVERYTHING, limit=9)
    assert (done.redriven, done.batch_ids) == (len(jobs), {batch.id})
    found = await database.read(lambda tx: batch_store.get(tx, account, batch.id))
    assert found is not None
    assert found.finished_at is None


async def test_redrives_when_several_go_on_at_once_queue_each_job_once(
    operations: Operations, database: Database, account: str
) -> None:
    batches = [
        await database.write(
            lambda tx: batch_store.insert(tx, factories.batch_row(account)),
        )
        for _ in range(3)
    ]
    rows = [
        job_row(account, batch_id=batches[index % 3].id, batch_index=index) for index in range(60)
    ]
    await factories.queue_many(database, rows)
    for claimed in await factories.claim(database):
        await database.write(
            lambda tx, job=claimed: moves.fail(tx, claim_of(job), error=factories.PROBLEM)
        )
    done = await asyncio.gather(*(operations.redrive(EVERYTHING, limit=25) for _ in range(4)))
    rest = await operations.redrive(EVERYTHING, limit=100)
    assert sum(part.redriven for part in (*done, rest)) == 60
    seqs = sa.select(tables.jobs.c.seq)
    assert set(await database.read(lambda tx: list(tx.scalars(seqs)))) == {4}


# --- the indexes serve -----------------------------------------------------------------------


async def test_statements_of_operations_when_explained_read_through_indexes(
    database: Database, account: str, database_kind: str
) -> None:
    await failed(database, account, 300)
    await factories.queue_many(database, [job_row(account) for _ in range(300)])
    done = {"status": "canceled", "ready": False, "finished_at": now(-HOUR)}
    old = sa.update(tables.jobs).where(tables.jobs.c.id.like("%0")).values(done)
    await database.write(lambda tx: tx.execute(old))
    await database.write(lambda tx: tx.exec_driver_sql("ANALYZE"))
    mark = Mark(datetime.now(UTC), "job_")
    old_mark = old_rows.Mark(datetime.now(UTC) - HOUR, "job_")

    def work(tx: Connection) -> None:
        in_flight = lane_counts.count_in_flight(tx)
        lane_counts.lane_overview(tx, in_flight)
        lane_counts.provider_overview(tx, in_flight)
        lane_counts.lanes_due(tx)
        lane_counts.knows(tx, "odd")
        dead_letters.page(tx, EVERYTHING, after=mark, limit=9)
        dead_letters.page(tx, Which(account_id="a", code="b"), after=mark, limit=9)
        dead_letters.redrive_page(tx, EVERYTHING, after=mark, limit=2)
        for sweep in (old_rows.sweep_events, old_rows.sweep_jobs, old_rows.sweep_batches):
            sweep(tx, kept=timedelta(), after=old_mark, limit=2)

    def explained(tx: Connection) -> dict[str, str]:
        if database_kind == "sqlite":
            return grown.plans_of(tx, work, explain="EXPLAIN QUERY PLAN")
        tx.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a small table is read as a whole
        return grown.plans_of(tx, work, explain="EXPLAIN")

    plans = await database.write(explained)
    assert len(plans) >= 20
    for statement, plan in plans.items():
        assert not grown.read_whole({statement: plan}), f"{statement}\n{plan}"

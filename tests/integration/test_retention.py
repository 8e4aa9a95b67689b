"""Retention: what is old goes in small steps, and what is still needed stays."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from safelight.accounts.service import Accounts
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.jobs.job import Job, Outcome
from safelight.jobs.ledger import batch_store, job_events, moves, old_rows
from safelight.worker.upkeep.retention import Retention
from tests import factories
from tests.factories import claim_of, job_row

DAY = timedelta(days=1)
LONG_AGO = now(-3 * DAY)


def retention(
    database: Database, *, events_kept: timedelta | None = None, jobs_kept: timedelta | None = None
) -> Retention:
    return Retention(database, events_kept=events_kept, jobs_kept=jobs_kept)


async def ids_of(database: Database, table: Table) -> set[str]:
    return set(await database.read(lambda tx: list(tx.scalars(sa.select(table.c.id)))))


async def subjects_left(database: Database) -> set[str]:
    query = sa.select(tables.events.c.subject).distinct()
    return set(await database.read(lambda tx: list(tx.scalars(query))))


async def age(database: Database, table: Table, column: str, ids: Iterable[str] | None) -> None:
    """Let rows be of three days ago; None is all."""
    statement = sa.update(table).values({column: LONG_AGO})
    if ids is not None:
        statement = statement.where(table.c.id.in_(list(ids)))
    await database.write(lambda tx: tx.execute(statement))


async def ended(database: Database, account: str, count: int = 1, **changes: Any) -> list[Job]:
    """Jobs that were canceled."""
    made = await factories.queue_many(
        database, [job_row(account, **changes) for number in range(count)]
    )
    return await database.write(lambda tx: [moves.cancel(tx, job.id) for job in made])


async def ended_long_ago(
    database: Database, account: str, count: int = 1, **changes: Any
) -> list[Job]:
    made = await ended(database, account, count, **changes)
    await age(database, tables.jobs, "finished_at", [job.id for job in made])
    return made


async def batch_of(database: Database, account: str, jobs: int) -> tuple[str, list[Job]]:
    row = factories.batch_row(account)
    batch = await database.write(lambda tx: batch_store.insert(tx, row))
    rows = [job_row(account, batch_id=batch.id, batch_index=index) for index in range(jobs)]
    return batch.id, await factories.queue_many(database, rows)


async def keep_asset(database: Database, account: str, job: Job) -> str:
    values = {
        "id": f"ast_{job.id}",
        "account_id": account,
        "job_id": job.id,
        "kind": "image",
        "key": f"images/{job.id}/x.png",
        "original_key": f"originals/{account}/x",
        "media_type": "image/png",
        "bytes": 1,
        "sha256": "00",
        "facts": {},
        "renditions": {},
        "created_at": datetime.now(UTC),
    }
    await database.write(lambda tx: tx.execute(sa.insert(tables.assets).values(values)))
    return f"ast_{job.id}"


# --- events ----------------------------------------------------------------------------------


async def test_events_when_old_go_unless_their_job_or_batch_has_not_ended(
    database: Database, account: str
) -> None:
    (done,) = await ended(database, account)
    live = await factories.queue(database, account)
    batch_id, (first, second) = await batch_of(database, account, 2)
    await database.write(lambda tx: moves.cancel(tx, first.id))
    await age(database, tables.events, "created_at", None)
    (fresh,) = await ended(database, account)
    rounds = retention(database, events_kept=2 * DAY)

    await rounds.round()
    assert await subjects_left(database) == {live.id, batch_id, first.id, second.id, fresh.id}
    assert done.id not in await subjects_left(database)

    await database.write(lambda tx: moves.cancel(tx, second.id))
    await age(database, tables.events, "created_at", None)
    await rounds.round()
    assert await subjects_left(database) == {live.id}


async def test_events_when_many_must_stay_are_passed_over_page_by_page(
    database: Database, account: str
) -> None:
    await factories.queue_many(database, [job_row(account) for _ in range(7)])
    await ended(database, account, 3)
    await age(database, tables.events, "created_at", None)
    looks = 0
    removed = 0
    mark: old_rows.Mark | None = None
    while looks == 0 or mark is not None:

        def look(tx: Connection, after: old_rows.Mark | None = mark) -> old_rows.Swept:
            return old_rows.sweep_events(tx, kept=2 * DAY, after=after, limit=4)

        swept = await database.write(look)
        looks, removed, mark = looks + 1, removed + swept.removed, swept.last
    assert (looks, removed) == (4, 6), "13 events in pages of 4"


async def test_events_when_nobody_was_told_of_them_stay_until_somebody_was(
    database: Database, account: str
) -> None:
    (job,) = await ended(database, account)
    await age(database, tables.events, "created_at", None)
    rounds = retention(database, events_kept=2 * DAY)
    for told, left in ((False, {job.id}), (True, set[str]())):
        await database.write(
            lambda tx, told=told: tx.execute(sa.update(tables.events).values(told=told))
        )
        await rounds.round()
        assert await subjects_left(database) == left


async def test_events_when_kept_for_ever_stay(database: Database, account: str) -> None:
    (job,) = await ended_long_ago(database, account)
    await age(database, tables.events, "created_at", None)
    await retention(database).round()
    assert await subjects_left(database) == {job.id}
    assert await ids_of(database, tables.jobs) == {job.id}


# --- jobs ------------------------------------------------------------------------------------


async def test_jobs_when_they_ended_long_ago_go_with_their_attempts_but_not_their_outputs(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    attempt = await database.write(lambda tx: factories.send(tx, claim_of(job)))
    await database.write(lambda tx: factories.close(tx, attempt.id, Outcome.SUCCEEDED))
    await database.write(lambda tx: factories.succeed(tx, claim_of(job), cost_micros=7))
    asset_id = await keep_asset(database, account, job)
    await age(database, tables.jobs, "finished_at", [job.id])
    (fresh,) = await ended(database, account)
    live = await factories.queue(database, account)

    await retention(database, jobs_kept=2 * DAY).round()

    assert await ids_of(database, tables.jobs) == {fresh.id, live.id}
    assert await ids_of(database, tables.attempts) == set()
    kept = sa.select(tables.assets.c.id, tables.assets.c.job_id, tables.assets.c.key)
    assert await database.read(lambda tx: [tuple(row) for row in tx.execute(kept)]) == [
        (asset_id, None, f"images/{job.id}/x.png")
    ]


async def test_jobs_when_an_attempt_is_open_stay_until_it_is_closed(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    attempt = await database.write(lambda tx: factories.send(tx, claim_of(job)))
    await database.write(lambda tx: moves.fail(tx, claim_of(job), error=factories.PROBLEM))
    await age(database, tables.jobs, "finished_at", [job.id])
    rounds = retention(database, jobs_kept=2 * DAY)
    await rounds.round()
    assert await ids_of(database, tables.jobs) == {job.id}
    await database.write(lambda tx: factories.close(tx, attempt.id, Outcome.LOST))
    await rounds.round()
    assert await ids_of(database, tables.jobs) == set()


async def test_rows_when_their_account_is_held_stay_until_it_is_released(
    database: Database, account: str
) -> None:
    batch_id, jobs = await batch_of(database, account, 1)
    await database.write(lambda tx: moves.cancel(tx, jobs[0].id))
    free = await ended_long_ago(database, await factories.new_account(database))
    for table, column in (
        (tables.jobs, "finished_at"),
        (tables.batches, "created_at"),
        (tables.batches, "finished_at"),
        (tables.events, "created_at"),
    ):
        await age(database, table, column, None)
    told = sa.update(tables.events).values(told=True)
    await database.write(lambda tx: tx.execute(told))
    accounts = Accounts(database)
    await accounts.change(account, {"hold": "case 17"}, actor="key_admin")
    rounds = retention(database, events_kept=2 * DAY, jobs_kept=2 * DAY)

    await rounds.round()
    assert await ids_of(database, tables.jobs) == {jobs[0].id}, f"{free[0].id} was free to go"
    assert await ids_of(database, tables.batches) == {batch_id}
    assert jobs[0].id in await subjects_left(database)
    assert free[0].id not in await subjects_left(database)

    await accounts.change(account, {"hold": ""}, actor="key_admin")
    await rounds.round()
    assert await ids_of(database, tables.jobs) == set()
    assert await ids_of(database, tables.batches) == set()
    assert jobs[0].id not in await subjects_left(database)


async def test_round_when_there_is_very_much_ends_soon_and_the_next_goes_on(
    database: Database, account: str
) -> None:
    await ended_long_ago(database, account, 1_200)
    rounds = Retention(database, events_kept=None, jobs_kept=2 * DAY, budget=timedelta())
    for left in (700, 200, 0):
        await rounds.round()
        assert len(await ids_of(database, tables.jobs)) == left


async def test_round_when_there_is_time_removes_page_after_page(
    database: Database, account: str
) -> None:
    await ended_long_ago(database, account, 1_200)
    await retention(database, jobs_kept=2 * DAY).round()
    assert await ids_of(database, tables.jobs) == set()


# --- batches ---------------------------------------------------------------------------------


async def test_batches_when_their_last_job_has_gone_go_too(
    database: Database, account: str
) -> None:
    old, (first, second) = await batch_of(database, account, 2)
    young, (third,) = await batch_of(database, account, 1)
    live, _ = await batch_of(database, account, 1)
    empty, _ = await batch_of(database, account, 0)
    await database.write(lambda tx: [moves.cancel(tx, job.id) for job in (first, second, third)])
    await database.write(lambda tx: job_events.finish_if_empty(tx, empty))
    await age(database, tables.batches, "created_at", None)
    await age(database, tables.batches, "finished_at", [old, empty])
    await age(database, tables.jobs, "finished_at", [first.id])
    rounds = retention(database, jobs_kept=2 * DAY)

    await rounds.round()
    assert await ids_of(database, tables.batches) == {old, young, live}

    await age(database, tables.jobs, "finished_at", [second.id])
    await rounds.round()
    assert await ids_of(database, tables.batches) == {young, live}
    assert third.id in await ids_of(database, tables.jobs)

"""A delayed job starts at its own time: one due job starts no other."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.assets import object_ledger
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.object_ledger import Note
from safelight.assets.service import Assets
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.jobs.job import Job
from safelight.jobs.ledger import moves
from safelight.notifications import store as notice_store
from safelight.notifications.contact import Channel
from safelight.notifications.service import Contacts
from safelight.providers.provider import Lane
from safelight.webhooks import store as delivery_store
from safelight.webhooks.shares import Taken
from tests import factories
from tests.factories import claim_of, job_row
from tests.receivers import endpoint

HOUR = timedelta(hours=1)
KEY = "key_1"


def later(hours: int = 1) -> datetime:
    return datetime.now(UTC) + hours * HOUR


async def overdue(database: Database, column: sa.Column[datetime], row_id: str) -> None:
    """Let the time of one row be over."""
    (key,) = column.table.primary_key
    change = sa.update(column.table).where(key == row_id).values({column.name: now(-HOUR)})
    await database.write(lambda tx: tx.execute(change))


async def standing(database: Database, jobs: list[Job]) -> list[tuple[str, bool, datetime]]:
    """Return status, readiness and time of jobs."""

    def read(tx: Connection) -> list[tuple[str, bool, datetime]]:
        found = [factories.reread(tx, job) for job in jobs]
        return [(job.status, job.ready, job.run_at) for job in found]

    return await database.read(read)


# --- jobs ------------------------------------------------------------------------------------


async def test_delayed_jobs_when_one_is_due_leave_the_others_to_their_own_time(
    database: Database, account: str
) -> None:
    rows = [job_row(account, run_at=later(hours)) for hours in (1, 2, 3)]
    due, *others = await factories.queue_many(database, rows)
    elsewhere = await factories.queue(database, account, run_at=later(), lane=Lane.INGEST)
    waiting = [*others, elsewhere]
    before = await standing(database, waiting)
    await factories.make_due(database, due)
    for _ in range(2):  # the first claim finds them as they are, the second as it left them
        found = await factories.claim(database)
        assert {job.id for job in found} <= {due.id}
        assert await standing(database, waiting) == before
    assert (await standing(database, [due]))[0][0] == "running"


async def test_checks_when_one_is_due_leave_the_others_to_their_own_time(
    database: Database, account: str
) -> None:
    await factories.queue_many(database, [job_row(account) for _ in range(3)])
    parked = await factories.claim(database)
    at = later()
    for job in parked:
        await database.write(
            lambda tx, job=job: factories.park(
                tx, claim_of(job), check_at=at, wakes=0, stage="", progress=0
            )
        )
    due, *others = parked
    before = await standing(database, others)
    await factories.make_due(database, due)
    assert [job.id for job in await factories.claim(database)] == [due.id]
    assert await factories.claim(database) == []
    assert await standing(database, others) == before
    assert [status for status, *_ in before] == ["waiting"] * 2


async def test_start_deadlines_when_one_has_passed_end_that_job_alone(
    database: Database, account: str
) -> None:
    late, soon, never = await factories.queue_many(
        database,
        [job_row(account, start_by=when) for when in (later(), later(), None)],
    )
    await overdue(database, tables.jobs.c.start_by, late.id)

    def expire(tx: Connection) -> list[Job]:
        return moves.expire(tx, error=factories.PROBLEM, limit=10)

    assert [job.id for job in await database.write(expire)] == [late.id]
    assert [status for status, _, _ in await standing(database, [soon, never])] == ["queued"] * 2


# --- messages --------------------------------------------------------------------------------


async def test_deliveries_when_one_is_due_leave_the_others_to_their_own_time(
    database: Database, account: str
) -> None:
    made = await endpoint(database, account, "https://hooks.example/x")
    sent = [
        await database.write(lambda tx: delivery_store.insert_trial(tx, made)) for _ in range(3)
    ]
    postponed = sa.update(tables.deliveries).values(due_at=now(HOUR))
    await database.write(lambda tx: tx.execute(postponed))
    await overdue(database, tables.deliveries.c.due_at, sent[1].id)
    found = await database.write(
        lambda tx: delivery_store.claim_due(tx, slots=9, taken=Taken(9, 9), lease=HOUR)
    )
    assert [delivery.id for delivery in found] == [sent[1].id]


async def test_notices_when_one_is_due_leave_the_others_to_their_own_time(
    database: Database, account: str
) -> None:
    contacts = Contacts(database, [Channel.EMAIL], ())
    for name in ("ann", "bob", "eve"):  # each is sent a code
        await contacts.create(
            account, Channel.EMAIL, f"{name}@example.com", wanted=None, digest=False
        )
    ids = await database.read(lambda tx: list(tx.scalars(sa.select(tables.notices.c.id))))
    assert len(ids) == 3
    await database.write(lambda tx: tx.execute(sa.update(tables.notices).values(due_at=now(HOUR))))
    await overdue(database, tables.notices.c.due_at, ids[1])
    found = await database.write(lambda tx: notice_store.claim_due(tx, slots=9, lease=HOUR))
    assert [notice.id for notice in found] == [ids[1]]


# --- what goes by itself ---------------------------------------------------------------------


async def test_assets_when_the_time_of_one_has_come_leave_the_others(
    database: Database, assets: Assets, account: str
) -> None:
    kept = [
        await factories.keep(database, account, expires_at=when)
        for when in (later(), later(), None)
    ]
    await overdue(database, tables.assets.c.expires_at, kept[1].id)
    assert await assets.expire() == 1
    left = await database.read(lambda tx: set(tx.scalars(sa.select(tables.assets.c.id))))
    assert left == {kept[0].id, kept[2].id}


async def test_trash_when_the_time_of_one_is_up_leaves_the_others(
    database: Database, trash: Trash, account: str
) -> None:
    deleted = [await factories.keep(database, account) for _ in range(3)]
    for asset in deleted:
        await trash.put(account, asset.id, actor=KEY)
    await overdue(database, tables.trash.c.purge_at, deleted[1].id)
    assert await trash.purge_overdue() == 1
    left = await database.read(lambda tx: set(tx.scalars(sa.select(tables.trash.c.asset_id))))
    assert left == {deleted[0].id, deleted[2].id}


async def test_loose_objects_when_the_time_of_one_is_up_leave_the_others(
    database: Database, account: str
) -> None:
    notes = [Note(f"ast_{number}", account, [f"images/x/{number}.png"]) for number in range(3)]
    await database.write(lambda tx: object_ledger.note_all(tx, notes))
    await overdue(database, tables.loose_objects.c.until, "ast_1")
    found = await database.write(lambda tx: object_ledger.begin_removal(tx, limit=9))
    assert [each.keys for each in found] == [["images/x/1.png"]]


async def test_originals_when_the_hold_of_one_has_run_out_keep_the_others(
    database: Database, account: str
) -> None:
    notes = [Note(f"ast_{number}", account, (), f"{number:064}", 1) for number in range(3)]
    kept = await database.write(lambda tx: object_ledger.note_all(tx, notes))
    keys = [each.key for each in kept if each is not None]
    await overdue_original(database, keys[1])
    await database.write(lambda tx: object_ledger.release(tx, limit=9))
    left = await database.read(lambda tx: set(tx.scalars(sa.select(tables.originals.c.key))))
    assert left == {keys[0], keys[2]}


async def overdue_original(database: Database, key: str) -> None:
    of_key = sa.update(tables.originals).where(tables.originals.c.key == key)
    await database.write(lambda tx: tx.execute(of_key.values(held_until=now(-HOUR))))

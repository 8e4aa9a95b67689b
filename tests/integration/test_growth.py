"""Growth: reads and removals go by indexes, and filters that have none by bounded looks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import audit
from safelight.audit import NewLine
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.db.walks import LOOKED_AT, Page
from safelight.jobs.job import Job, JobStatus
from safelight.jobs.ledger import dead_letters, moves, store
from safelight.jobs.ledger.dead_letters import Which
from safelight.jobs.operations import Operations
from safelight.jobs.scheduling import lane_counts
from safelight.worker.upkeep import retention
from safelight.worker.upkeep.retention import Retention
from tests import factories, grown
from tests.factories import job_row

DAY = timedelta(days=1)
ROWS = LOOKED_AT + 500


@pytest.fixture
async def large(database: Database) -> Database:
    """A database with some thousand ended jobs, and as many that are queued."""
    await grown.fill(database, ROWS)
    return database


async def explained(database: Database, work: grown.Work) -> dict[str, str]:
    def explain(tx: Connection) -> dict[str, str]:
        if tx.dialect.name == "sqlite":
            return grown.plans_of(tx, work, explain="EXPLAIN QUERY PLAN")
        tx.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a small table is read as a whole
        return grown.plans_of(tx, work, explain="EXPLAIN")

    return await database.write(explain)


def as_text(plans: dict[str, str]) -> str:
    return "\n\n".join(f"{statement}\n{plan}" for statement, plan in plans.items())


async def jobs_page(
    database: Database,
    account: str,
    *,
    before: str | None = None,
    limit: int = 50,
    statuses: tuple[JobStatus, ...] = (),
    **equal: Any,
) -> Page[Job]:
    return await database.read(
        lambda tx: store.page(
            tx, account, before=before, limit=limit, equal=equal, statuses=statuses
        )
    )


# --- the indexes serve -----------------------------------------------------------------------


async def test_reads_when_explained_go_by_the_index_that_is_theirs(large: Database) -> None:
    for title, read in grown.reads(ROWS).items():
        plans = await explained(large, read.work)
        assert read.indexes <= grown.indexes_in(plans), f"{title}\n{as_text(plans)}"
        assert not grown.read_whole(plans), f"{title}\n{as_text(plans)}"


async def test_removals_when_explained_go_by_the_index_that_is_theirs(large: Database) -> None:
    indexes = {
        "idempotency keys": {"ix_idempotency_created_at"},
        "API keys": {"ix_keys_expires_at", "ix_keys_revoked_at"},
        "deliveries": {"ix_deliveries_finished_at"},
        "invitations": {"ix_invitations_expires_at"},
        "user tokens": {"ix_user_tokens_expires_at"},
        "throttles": {"ix_throttles_until"},
        "notices": {"ix_notices_finished_at"},
        "events": {"ix_events_created_at"},
        "jobs": {"ix_jobs_finished_at"},
        "batches": set[str](),
    }
    looks = retention.looks(DAY, DAY)
    assert set(looks) == set(indexes)
    for what, look in looks.items():
        plans = await explained(large, lambda tx, look=look: look(tx, None, 5))
        assert indexes[what] <= grown.indexes_in(plans), as_text(plans)
        assert not grown.read_whole(plans), as_text(plans)


# --- lists -----------------------------------------------------------------------------------


async def test_jobs_when_listed_page_by_page_come_once_each_whatever_their_status(
    large: Database,
) -> None:
    query = sa.select(tables.jobs.c.id, tables.jobs.c.status)
    query = query.where(tables.jobs.c.account_id == grown.SMALL).order_by(tables.jobs.c.id.desc())
    every = await large.read(lambda tx: tx.execute(query).all())
    assert len({row.status for row in every}) > 1
    for statuses in ((), (JobStatus.QUEUED,), (JobStatus.SUCCEEDED, JobStatus.FAILED)):
        seen: list[str] = []
        cursor: str | None = None
        while not seen or cursor:
            page = await jobs_page(large, grown.SMALL, before=cursor, limit=1, statuses=statuses)
            seen += [job.id for job in page.rows]
            cursor = page.next
        assert seen == [row.id for row in every if not statuses or row.status in statuses]


async def test_jobs_when_few_match_a_filter_without_an_index_are_found_look_by_look(
    large: Database,
) -> None:
    oldest = f"job_0{0:012d}"
    odd = sa.update(tables.jobs).where(tables.jobs.c.id == oldest).values(model="odd")
    await large.write(lambda tx: tx.execute(odd))
    looks: list[list[str]] = []
    cursor: str | None = None
    while not looks or cursor:
        page = await jobs_page(large, grown.BIG, before=cursor, model="odd")
        looks.append([job.id for job in page.rows])
        cursor = page.next
    assert looks == [[], [oldest], []], "4,000 jobs, 2,000 a look"


async def test_jobs_of_a_batch_when_filtered_are_those_alone(
    database: Database, account: str
) -> None:
    batch = factories.batch_row(account)
    await database.write(
        lambda tx: tx.execute(
            sa.insert(tables.batches).values(created_at=datetime.now(UTC), **batch)
        )
    )
    rows = [job_row(account, batch_id=batch["id"], batch_index=index) for index in range(3)]
    made = await factories.queue_many(database, rows)
    await factories.queue(database, account)
    await database.write(lambda tx: moves.cancel(tx, made[1].id))
    newest_first = sorted((job.id for job in made), reverse=True)
    page = await jobs_page(database, account, batch_id=batch["id"], limit=2)
    assert [job.id for job in page.rows] == newest_first[:2]
    rest = await jobs_page(database, account, batch_id=batch["id"], before=page.next)
    assert [job.id for job in rest.rows] == newest_first[2:]
    canceled = await jobs_page(
        database, account, batch_id=batch["id"], statuses=(JobStatus.CANCELED,)
    )
    assert [job.id for job in canceled.rows] == [made[1].id]
    assert (await jobs_page(database, "acc_other", batch_id=batch["id"])).rows == []


async def test_dead_letters_when_none_match_say_where_the_next_look_goes_on(
    large: Database,
) -> None:
    failed = sa.update(tables.jobs).where(tables.jobs.c.finished_at.is_not(None))
    as_dead = {"status": "failed", "error": factories.PROBLEM}
    await large.write(lambda tx: tx.execute(failed.values(as_dead)))
    nothing = Which(model="odd")
    operations = Operations(large)
    first = await operations.dead_letters(nothing, after=None, limit=9)
    assert first.jobs == []
    assert first.last is not None
    second = await operations.dead_letters(nothing, after=first.last, limit=9)
    assert (second.jobs, second.last) == ([], None)
    look = await large.write(lambda tx: dead_letters.redrive_page(tx, nothing, after=None, limit=9))
    assert (look.jobs, look.last) == ([], first.last)
    assert (await operations.redrive(nothing, limit=9)).last is None


async def test_dead_letters_of_an_account_when_bounded_in_time_are_those_alone(
    large: Database,
) -> None:
    operations = Operations(large)
    mine = Which(account_id=grown.BIG)
    every = await operations.dead_letters(mine, after=None, limit=1_000)
    ends = [job.finished_at for job in every.jobs if job.finished_at]
    assert ends == sorted(ends, reverse=True)
    assert {job.account_id for job in every.jobs} == {grown.BIG}
    between = Which(account_id=grown.BIG, finished_after=ends[9], finished_before=ends[2])
    found = await operations.dead_letters(between, after=None, limit=1_000)
    assert [job.finished_at for job in found.jobs] == ends[3:9]


async def test_audit_when_few_lines_are_of_an_action_are_found_look_by_look(
    database: Database, account: str
) -> None:
    rare = [NewLine(account, "key_0", "asset.held", "ast_0")]
    await database.write(lambda tx: audit.append(tx, rare))
    usual = [NewLine(account, "key_0", "asset.deleted", f"ast_{n}") for n in range(LOOKED_AT)]
    await database.write(lambda tx: audit.append(tx, usual))

    def look(tx: Connection, before: str | None = None) -> Page[audit.Line]:
        return audit.page(tx, account, before=before, limit=9, action="asset.held")

    first = await database.read(look)
    rest = await database.read(lambda tx: look(tx, first.next))
    assert (first.rows, len(rest.rows), rest.next) == ([], 1, None)


# --- places in the line ----------------------------------------------------------------------


async def test_ahead_of_when_counted_is_the_more_urgent_then_the_older_up_to_a_limit(
    database: Database, account: str
) -> None:
    urgent = await factories.queue(database, account, priority=5)
    older = await factories.queue(database, account)
    mine = await factories.queue(database, account)
    await factories.queue(database, account)
    await factories.queue(database, account, priority=-5)
    await factories.queue(database, account, lane="local", priority=9)

    def ahead(job: Job, limit: int = 99) -> int:
        return counts[job.id, limit]

    counts = await database.read(
        lambda tx: {
            (job.id, limit): store.ahead_of(tx, job, limit=limit)
            for job in (urgent, older, mine)
            for limit in (1, 99)
        }
    )
    assert [ahead(job) for job in (urgent, older, mine)] == [0, 1, 2]
    assert ahead(mine, 1) == 1


async def test_oldest_wait_when_the_urgent_are_young_is_that_of_the_oldest_all_the_same(
    database: Database, account: str
) -> None:
    await factories.queue(database, account, priority=5)
    old = await factories.queue(database, account, priority=-5)
    await factories.queue(database, account)
    past = sa.update(tables.jobs).where(tables.jobs.c.id == old.id)
    await database.write(lambda tx: tx.execute(past.values(run_at=now(-DAY))))
    flight = lane_counts.Flight({}, {})
    lanes = await database.read(lambda tx: lane_counts.lane_overview(tx, flight))
    (remote,) = [lane for lane in lanes if lane.name == "remote"]
    assert remote.oldest_wait is not None
    assert remote.oldest_wait >= DAY
    assert remote.ready == 3


# --- removals --------------------------------------------------------------------------------


async def test_round_when_there_is_time_removes_all_that_expired_and_nothing_else(
    large: Database,
) -> None:
    await Retention(large, events_kept=DAY, jobs_kept=DAY).round()
    left = {
        table.name: await large.read(
            lambda tx, table=table: tx.scalar(sa.select(sa.func.count()).select_from(table))
        )
        for table in (
            tables.jobs,
            tables.attempts,
            tables.events,
            tables.idempotency,
            tables.deliveries,
            tables.notices,
            tables.batches,
            tables.keys,
        )
    }
    assert left == dict.fromkeys(left, 0) | {"jobs": ROWS}


async def test_round_when_all_old_rows_must_stay_ends_and_the_next_goes_on_behind_them(
    large: Database,
) -> None:
    stay = sa.update(tables.events).values(told=False)
    await large.write(lambda tx: tx.execute(stay))
    newest = f"evt_{ROWS - 1:012d}"
    told = sa.update(tables.events).where(tables.events.c.id == newest).values(told=True)
    await large.write(lambda tx: tx.execute(told))
    rounds = Retention(large, events_kept=DAY, jobs_kept=None, budget=timedelta())
    there = sa.select(tables.events.c.id).where(tables.events.c.id == newest)
    pages = -(-ROWS // retention.PAGE)
    there_after = []
    for _ in range(pages):
        await rounds.round()
        there_after.append(await large.read(lambda tx: tx.scalar(there)) is not None)
    assert there_after == [True] * (pages - 1) + [False]


async def test_keys_when_they_ended_long_ago_go_whether_expired_or_revoked(
    database: Database, account: str
) -> None:
    ends = {
        "key_expired": {"expires_at": now(-31 * DAY)},
        "key_revoked": {"revoked_at": now(-31 * DAY)},
        "key_young": {"expires_at": now(-29 * DAY), "revoked_at": now(-29 * DAY)},
        "key_valid": {"expires_at": now(DAY)},
        "key_eternal": {},
    }
    for key_id, values in ends.items():
        row = {"id": key_id, "account_id": account, "name": "", "hint": "", "scopes": []}
        statement = sa.insert(tables.keys).values(
            hash=key_id.encode(), created_at=now(), **row, **values
        )
        await database.write(lambda tx, statement=statement: tx.execute(statement))
    await Retention(database, events_kept=None, jobs_kept=None).round()
    ids = await database.read(lambda tx: set(tx.scalars(sa.select(tables.keys.c.id))))
    assert ids == {"key_young", "key_valid", "key_eternal"}

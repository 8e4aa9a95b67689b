"""What reads cost, and how fast expired rows go, in a database that has grown; on either database.

Rows are made by the database itself. Account 0 has four jobs in five, 2,000 others have the rest.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Table, event

from bench.components import Components
from bench.sizes import Sizes
from bench.table import Row, latency
from safelight import audit
from safelight.assets import store as asset_store
from safelight.db import tables
from safelight.db.engine import Database, open_database
from safelight.db.migrate import migrate
from safelight.db.types import Instant, to_microseconds
from safelight.delivery import store as delivery_store
from safelight.delivery.delivery import DeliveryState
from safelight.jobs import batch_store, census, dead_letters, store
from safelight.jobs.dead_letters import Which
from safelight.jobs.job import JobStatus
from safelight.notify import store as notice_store
from safelight.providers.provider import Kind
from safelight.worker import retention
from tests.factories import PROBLEM, job_row

_BIG = "acc_0"
_SMALL = "acc_7"
_STRANGER = "acc_none"
_DAY = timedelta(days=1)
_LONG_AGO = timedelta(days=40)
_STEP_US = 50_000  # between two jobs
_FILLED_AT_ONCE = 100_000  # rows of a statement
_PAGE = 51
_GROWING = "jobs|attempts|events|batches|deliveries|notices|idempotency|audit"
_READS_ALL = re.compile(rf"(?:Seq Scan on|^SCAN) ({_GROWING})\b(?! USING)", re.MULTILINE)
_INDEX = re.compile(r"\b(?:ix|uq|pk|sqlite_autoindex)_\w+")

Read = Callable[[Connection], object]
Number = ColumnElement[Any]


async def growth(ground: Components, sizes: Sizes) -> tuple[dict[str, list[Row]], str]:
    """Measure each read and each drain on both databases; return the tables, and the plans."""
    reads: list[Row] = []
    drains: list[Row] = []
    plans: list[str] = []
    for name, url in (
        ("PostgreSQL", ground.postgres.new_database()),
        ("SQLite", f"sqlite:///{ground.folder / 'growth.db'}"),
    ):
        database = open_database(url)
        try:
            await migrate(database)
            began = time.perf_counter()
            await _fill(database, sizes.grown)
            took = time.perf_counter() - began
            print(f"{name}: {sizes.grown:,} jobs ended, as many queued; {took:.0f} s", flush=True)
            for title, read in _reads(sizes.grown).items():
                found, plan = await _measure(database, read, sizes.searches)
                reads.append({"database": name, "read": title, **found})
                plans.append(f"===== {name}: {title} =====\n\n{plan}")
            for what, look in retention.looks(_DAY, _DAY).items():
                drains.append({"database": name, **await _drain(database, what, look, sizes)})
        finally:
            await database.close()
    size = f"{sizes.grown:,} ended and {sizes.grown:,} queued jobs"
    return {f"Reads at {size}": reads, f"Expired rows of {size}": drains}, "\n".join(plans)


# --- rows ------------------------------------------------------------------------------------


async def _fill(database: Database, size: int) -> None:
    """Write `size` jobs that ended, with what belongs to them, then as many that are queued."""
    began = datetime.now(UTC) - _LONG_AGO
    await database.write(_write_owners)
    for table, rows, values in (
        (tables.jobs, size, _ended),
        (tables.jobs, size, _queued),
        (tables.attempts, size, _attempt),
        (tables.events, size, _event),
        (tables.idempotency, size, _key),
        (tables.deliveries, size, _delivery),
        (tables.notices, size // 10, _notice),
        (tables.audit, size // 10, _audit_line),
        (tables.batches, size // 10, _batch),
        (tables.keys, size // 10, _session),
    ):
        for first in range(0, rows, _FILLED_AT_ONCE):
            last = min(first + _FILLED_AT_ONCE, rows) - 1
            statement = _inserting(table, values, first, last, began)
            await database.write(lambda tx, statement=statement: tx.execute(statement(tx)))
    if not database.url.startswith("sqlite:"):  # nobody analyzes that in service
        await database.write(lambda tx: tx.exec_driver_sql("ANALYZE"))


def _write_owners(tx: Connection) -> None:
    at = datetime.now(UTC)
    rows = [{"id": f"acc_{number}", "name": "bench", "created_at": at} for number in range(2001)]
    tx.execute(sa.insert(tables.accounts), rows)
    endpoint = {"id": "whe_0", "url": "https://example.com", "events": ["*"], "secret": "s"}
    tx.execute(sa.insert(tables.endpoints).values(account_id=_BIG, created_at=at, **endpoint))
    contact = {"id": "con_0", "channel": "email", "address": "a@example.com", "events": []}
    contact |= {"token": "con_0"}
    tx.execute(sa.insert(tables.contacts).values(account_id=_BIG, created_at=at, **contact))


_Values = Callable[[Number, ColumnElement[Any]], Mapping[str, Any]]


def _inserting(
    table: Table, values: _Values, first: int, last: int, began: datetime
) -> Callable[[Connection], sa.Insert]:
    def statement(tx: Connection) -> sa.Insert:
        number, source, at = _numbers(tx, first, last, began)
        row = values(number, at)
        typed = [
            value if isinstance(value, ColumnElement) else sa.literal(value, table.c[name].type)
            for name, value in row.items()
        ]
        return sa.insert(table).from_select(list(row), sa.select(*typed).select_from(source))

    return statement


def _numbers(
    tx: Connection, first: int, last: int, began: datetime
) -> tuple[Number, sa.FromClause, ColumnElement[Any]]:
    """Return a number, what it is of, and its moment."""
    if tx.dialect.name == "postgresql":
        source = sa.func.generate_series(first, last)
        source = source.table_valued(sa.column("number", sa.BigInteger)).render_derived()
        number: Number = source.c.number
        step = sa.text(f"interval '{_STEP_US} microseconds'")
        return number, source, sa.literal(began, Instant) + number.op("*")(step)
    walk = sa.select(sa.literal(first, sa.BigInteger).label("number")).cte(
        "numbers", recursive=True
    )
    walk = walk.union_all(sa.select(walk.c.number + 1).where(walk.c.number < last))
    return walk.c.number, walk, sa.literal(to_microseconds(began)) + walk.c.number * _STEP_US


def _id(prefix: str, number: Number) -> ColumnElement[str]:
    return sa.literal(prefix) + sa.func.substr(sa.cast(10**12 + number, sa.Text), 2)


def _account(number: Number) -> ColumnElement[str]:
    other = sa.literal("acc_") + sa.cast(1 + number // 5 % 2_000, sa.Text)
    return sa.case((number % 5 < 4, _BIG), else_=other)


def _job(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    same = {name: value for name, value in job_row(_BIG).items() if value is not None}
    return same | {"account_id": _account(number), "created_at": at, "run_at": at}


def _ended(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    failed = number % 10 == 3  # half the big account's, half others'
    error = sa.case((failed, sa.literal(PROBLEM, tables.jobs.c.error.type)), else_=sa.null())
    status = sa.case(
        (failed, JobStatus.FAILED.value),
        (number % 100 == 11, JobStatus.CANCELED.value),
        else_=JobStatus.SUCCEEDED.value,
    )
    ends = {"status": status, "error": error, "started_at": at, "finished_at": at, "ready": False}
    return _job(number, at) | ends | {"id": _id("job_0", number)}


def _queued(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    waits = {"status": JobStatus.QUEUED.value, "ready": True, "stage": "queued"}
    return _job(number, at) | waits | {"id": _id("job_1", number)}


def _attempt(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("att_", number), "job_id": _id("job_0", number), "number": 1}
    ends = {"state": "closed", "outcome": "succeeded", "created_at": at, "closed_at": at}
    return names | ends | {"provider": "fake"}


def _event(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("evt_", number), "subject": _id("job_0", number), "seq": 1}
    says = {"type": "job.succeeded", "data": {"status": "succeeded"}, "created_at": at}
    return names | says | {"account_id": _account(number), "told": True}


def _key(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"account_id": _account(number), "key": _id("key-", number)}
    return names | {"fingerprint": "00" * 32, "subject": _id("job_0", number), "created_at": at}


def _delivery(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("dlv_", number), "endpoint_id": "whe_0", "event_id": _id("evt_", number)}
    ends = {"state": "delivered", "created_at": at, "due_at": at, "finished_at": at}
    return names | ends | {"event": {"type": "job.succeeded"}}


def _notice(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("ntc_", number), "contact_id": "con_0", "event_id": _id("evt_", number)}
    ends = {"state": "delivered", "created_at": at, "due_at": at, "finished_at": at}
    return names | ends | {"event": {"type": "job.succeeded"}}


def _audit_line(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("aud_", number), "account_id": _BIG, "subject": _id("ast_", number)}
    return names | {"at": at, "actor": "key_0", "action": "asset.deleted", "data": {}}


def _batch(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("bat_", number), "account_id": _account(number), "kind": "import_image"}
    return names | {"problems": [], "tags": [], "metadata": {}, "created_at": at, "finished_at": at}


def _session(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("key_", number), "account_id": _BIG, "name": "session", "hint": "sk"}
    secret = {"hash": sa.cast(_id("", number), sa.LargeBinary), "scopes": []}
    return names | secret | {"created_at": at, "expires_at": at}


# --- reads -----------------------------------------------------------------------------------


def _reads(size: int) -> dict[str, Read]:
    """Return each read, most of them such that nothing matches."""
    newest, middle = f"job_1{size - 2:012d}", f"job_0{size // 2:012d}"
    failed, running = (JobStatus.FAILED,), (JobStatus.RUNNING, JobStatus.WAITING)
    since = datetime.now(UTC) - _LONG_AGO
    until = since + _DAY
    return {
        "queued job, the last of all": _job_read(newest),
        "ended job": _job_read(middle),
        "jobs, newest page": _jobs_read(),
        "jobs, page in the middle": _jobs_read(before=middle),
        "jobs of who has none": _jobs_read(_STRANGER),
        "jobs queued": _jobs_read(statuses=(JobStatus.QUEUED,)),
        "jobs running": _jobs_read(statuses=running),
        "jobs failed": _jobs_read(statuses=failed),
        "jobs succeeded": _jobs_read(statuses=(JobStatus.SUCCEEDED,)),
        "jobs of no such kind": _jobs_read(kind=Kind.IMAGE_TO_3D),
        "jobs of no such model": _jobs_read(model="none"),
        "jobs failed of no such model": _jobs_read(model="none", statuses=failed),
        "jobs of no such batch": _jobs_read(batch_id="bat_none"),
        "batches": _batches_read,
        "dead letters": _dead_read(),
        "dead letters of a small account": _dead_read(account_id=_SMALL),
        "dead letters of who has none": _dead_read(account_id=_STRANGER),
        "dead letters of no such model": _dead_read(model="none"),
        "dead letters of no such error": _dead_read(code="none", lane="gpu"),
        "dead letters of a past hour": _dead_read(finished_before=since - _DAY),
        "deliveries": _deliveries_read(),
        "deliveries failed": _deliveries_read(DeliveryState.FAILED),
        "notices": lambda tx: notice_store.of_contact(tx, "con_0", before=None, limit=_PAGE),
        "audit of no such subject": _audit_read(subject="none"),
        "audit of no such action": _audit_read(action="none"),
        "digest: whether any job ended": lambda tx: store.has_ended(tx, _SMALL, since, until),
        "digest: cancelations of a day": lambda tx: store.ended(
            tx, _SMALL, since, until, status=JobStatus.CANCELED, limit=10
        ),
        "lanes and providers": _lanes_read,
    }


def _job_read(job_id: str) -> Read:
    """Return what `GET /v1/jobs/{id}` reads."""

    def read(tx: Connection) -> None:
        job = store.get(tx, _BIG, job_id)
        if job is None:
            raise LookupError(job_id)
        asset_store.of_jobs(tx, [job_id])
        store.recent_durations(tx, job.model, limit=20)
        if job.ready:
            store.ahead_of(tx, job, limit=1_000)

    return read


def _jobs_read(
    account: str = _BIG,
    *,
    before: str | None = None,
    statuses: Sequence[JobStatus] = (),
    **equal: str,
) -> Read:
    return lambda tx: store.page(
        tx, account, before=before, limit=_PAGE, equal=equal, statuses=statuses
    )


def _batches_read(tx: Connection) -> None:
    batch_store.tallies(tx, batch_store.page(tx, _BIG, before=None, limit=_PAGE))


def _dead_read(**wanted: Any) -> Read:
    return lambda tx: dead_letters.page(tx, Which(**wanted), after=None, limit=_PAGE)


def _deliveries_read(state: DeliveryState | None = None) -> Read:
    return lambda tx: delivery_store.of_endpoint(tx, "whe_0", before=None, limit=_PAGE, state=state)


def _audit_read(**wanted: str) -> Read:
    return lambda tx: audit.page(tx, _BIG, before=None, limit=_PAGE, **wanted)


def _lanes_read(tx: Connection) -> None:
    flight = census.count_in_flight(tx)
    census.lane_overview(tx, flight)
    census.provider_overview(tx, flight)


async def _measure(database: Database, read: Read, count: int) -> tuple[Row, str]:
    """Return how long a read takes, what it reads through, and its statements' plans."""
    plans = await database.read(lambda tx: plans_of(tx, read))
    text = "\n\n".join(f"{statement.strip()}\n\n{plan}" for statement, plan in plans.items())
    took: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        await database.read(read)
        took.append(time.perf_counter() - began)
    whole = _READS_ALL.findall("\n".join(plans.values()))
    by = sorted({*_INDEX.findall("\n".join(plans.values()))})
    return {**latency(took), "by": ", ".join(by), "reads whole": ", ".join(sorted({*whole}))}, text


def plans_of(tx: Connection, read: Read) -> dict[str, str]:
    """Return each statement that `read` runs, with its plan."""
    ran: dict[str, Any] = {}

    def note(*given: Any) -> None:
        _, _, statement, parameters, _, _ = given
        ran[statement] = parameters

    event.listen(tx, "before_cursor_execute", note)
    read(tx)
    event.remove(tx, "before_cursor_execute", note)
    explain = (
        "EXPLAIN (ANALYZE, BUFFERS) " if tx.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    )
    return {
        statement: "\n".join(str(row[-1]) for row in tx.exec_driver_sql(explain + statement, given))
        for statement, given in ran.items()
    }


# --- drains ----------------------------------------------------------------------------------


async def _drain(
    database: Database, what: str, look: retention.Look, sizes: Sizes
) -> dict[str, float | int | str]:
    """Remove expired rows for a while, page by page, and return how many a second."""
    removed = pages = 0
    longest = 0.0
    mark: retention.Mark | None = None
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < sizes.drain_s:
        asked = time.perf_counter()
        swept = await database.write(lambda tx, mark=mark: look(tx, mark, retention.PAGE))
        longest = max(longest, time.perf_counter() - asked)
        removed, pages, mark = removed + swept.removed, pages + 1, swept.last
        if not swept.more:
            took = time.perf_counter() - began
            break
    return {
        "expired": what,
        "removed": removed,
        "rows/s": removed / took,
        "a page of": retention.PAGE,
        "longest page ms": longest * 1000,
    }

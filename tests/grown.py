"""A database that has grown, filled by SQL, and the reads that must not notice it.

Account 0 has four jobs in five, 2,000 others have the rest.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Table, event

from safelight import audit
from safelight.assets import store as asset_store
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import Instant, to_microseconds
from safelight.jobs.job import JobStatus
from safelight.jobs.ledger import batch_store, dead_letters, store
from safelight.jobs.ledger.dead_letters import Which
from safelight.jobs.scheduling import lane_counts
from safelight.notifications import store as notice_store
from safelight.providers.provider import Kind
from safelight.webhooks import store as delivery_store
from safelight.webhooks.delivery import DeliveryState
from tests.factories import PROBLEM, job_row

BIG = "acc_0"
SMALL = "acc_7"
STRANGER = "acc_none"
_DAY = timedelta(days=1)
_LONG_AGO = timedelta(days=40)
_STEP_US = 50_000  # between two jobs
_FILLED_AT_ONCE = 100_000  # rows of a statement
_PAGE = 51
_GROWING = "jobs|attempts|events|batches|deliveries|notices|idempotency|audit|keys"
_READS_ALL = re.compile(rf"(?:Seq Scan on|^SCAN) ({_GROWING})\b(?! USING)", re.MULTILINE)
_INDEX = re.compile(r"\bix_\w+")

Number = ColumnElement[Any]
Work = Callable[[Connection], object]


@dataclass(frozen=True, slots=True)
class Read:
    """The product's queries, and the indexes that serve them, except keys."""

    work: Work
    indexes: frozenset[str]


# --- rows ------------------------------------------------------------------------------------


async def fill(database: Database, size: int) -> None:
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
    tx.execute(sa.insert(tables.endpoints).values(account_id=BIG, created_at=at, **endpoint))
    contact = {"id": "con_0", "channel": "email", "address": "a@example.com", "events": []}
    contact |= {"token": "con_0"}
    tx.execute(sa.insert(tables.contacts).values(account_id=BIG, created_at=at, **contact))


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
    return sa.case((number % 5 < 4, BIG), else_=other)


def _job(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    same = {name: value for name, value in job_row(BIG).items() if value is not None}
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
    names = {"id": _id("aud_", number), "account_id": BIG, "subject": _id("ast_", number)}
    return names | {"at": at, "actor": "key_0", "action": "asset.deleted", "data": {}}


def _batch(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("bat_", number), "account_id": _account(number), "kind": "import_image"}
    return names | {"problems": [], "tags": [], "metadata": {}, "created_at": at, "finished_at": at}


def _session(number: Number, at: ColumnElement[Any]) -> dict[str, Any]:
    names = {"id": _id("key_", number), "account_id": BIG, "name": "session", "hint": "sk"}
    secret = {"hash": sa.cast(_id("", number), sa.LargeBinary), "scopes": []}
    return names | secret | {"created_at": at, "expires_at": at}


# --- reads -----------------------------------------------------------------------------------


def reads(size: int) -> dict[str, Read]:
    """Return each read, most of them such that nothing matches."""
    newest, middle = f"job_1{size - 2:012d}", f"job_0{size // 2:012d}"
    failed, running = (JobStatus.FAILED,), (JobStatus.RUNNING, JobStatus.WAITING)
    since = datetime.now(UTC) - _LONG_AGO
    until = since + _DAY
    found: dict[str, tuple[Work, str]] = {
        "queued job, the last of all": (_job_read(newest), "ix_jobs_succeeded ix_jobs_line"),
        "ended job": (_job_read(middle), "ix_jobs_succeeded"),
        "jobs, newest page": (_jobs_read(), "ix_jobs_account"),
        "jobs, page in the middle": (_jobs_read(before=middle), "ix_jobs_account"),
        "jobs of who has none": (_jobs_read(STRANGER), "ix_jobs_account"),
        "jobs queued": (_jobs_read(statuses=(JobStatus.QUEUED,)), "ix_jobs_account"),
        "jobs running": (_jobs_read(statuses=running), "ix_jobs_account"),
        "jobs failed": (_jobs_read(statuses=failed), "ix_jobs_account"),
        "jobs succeeded": (_jobs_read(statuses=(JobStatus.SUCCEEDED,)), "ix_jobs_account"),
        "jobs of no such kind": (_jobs_read(kind=Kind.IMAGE_TO_3D), "ix_jobs_account"),
        "jobs of no such model": (_jobs_read(model="none"), "ix_jobs_account"),
        "jobs failed of no such model": (
            _jobs_read(model="none", statuses=failed),
            "ix_jobs_account",
        ),
        "jobs of no such batch": (_jobs_read(batch_id="bat_none"), ""),
        "batches": (_batches_read, "ix_batches_account"),
        "dead letters": (_dead_read(), "ix_jobs_dead"),
        "dead letters of a small account": (_dead_read(account_id=SMALL), "ix_jobs_ended"),
        "dead letters of who has none": (_dead_read(account_id=STRANGER), "ix_jobs_ended"),
        "dead letters of no such model": (_dead_read(model="none"), "ix_jobs_dead"),
        "dead letters of no such error": (_dead_read(code="none", lane="gpu"), "ix_jobs_dead"),
        "dead letters of a past hour": (_dead_read(finished_before=since - _DAY), "ix_jobs_dead"),
        "deliveries": (_deliveries_read(), "ix_deliveries_endpoint"),
        "deliveries failed": (_deliveries_read(DeliveryState.FAILED), "ix_deliveries_endpoint"),
        "notices": (_notices_read, "ix_notices_newest"),
        "audit of no such subject": (_audit_read(subject="none"), "ix_audit_subject"),
        "audit of no such action": (_audit_read(action="none"), "ix_audit_account"),
        "digest: whether any job ended": (
            lambda tx: store.has_ended(tx, STRANGER, since, until),
            "ix_jobs_ended",
        ),
        "digest: how many jobs ended": (
            lambda tx: store.ended_counts(tx, SMALL, since, until),
            "ix_jobs_ended",
        ),
        "lanes and providers": (
            _lanes_read,
            "ix_jobs_line ix_jobs_ready ix_jobs_delayed ix_jobs_waiting",
        ),
    }
    return {title: Read(work, frozenset(names.split())) for title, (work, names) in found.items()}


def _job_read(job_id: str) -> Work:
    """Return what `GET /v1/jobs/{id}` reads."""

    def read(tx: Connection) -> None:
        job = store.get(tx, BIG, job_id)
        if job is None:
            raise LookupError(job_id)
        asset_store.of_jobs(tx, [job_id])
        store.recent_durations(tx, job.model, limit=20)
        if job.ready:
            store.ahead_of(tx, job, limit=1_000)

    return read


def _jobs_read(
    account: str = BIG,
    *,
    before: str | None = None,
    statuses: Sequence[JobStatus] = (),
    **equal: str,
) -> Work:
    return lambda tx: store.page(
        tx, account, before=before, limit=_PAGE, equal=equal, statuses=statuses
    )


def _batches_read(tx: Connection) -> None:
    batch_store.tallies(tx, batch_store.page(tx, BIG, before=None, limit=_PAGE))


def _dead_read(**wanted: Any) -> Work:
    return lambda tx: dead_letters.page(tx, Which(**wanted), after=None, limit=_PAGE)


def _deliveries_read(state: DeliveryState | None = None) -> Work:
    return lambda tx: delivery_store.of_endpoint(tx, "whe_0", before=None, limit=_PAGE, state=state)


def _notices_read(tx: Connection) -> None:
    notice_store.of_contact(tx, "con_0", before=None, limit=_PAGE)


def _audit_read(**wanted: str) -> Work:
    return lambda tx: audit.page(tx, BIG, before=None, limit=_PAGE, **wanted)


def _lanes_read(tx: Connection) -> None:
    flight = lane_counts.count_in_flight(tx)
    lane_counts.lane_overview(tx, flight)
    lane_counts.provider_overview(tx, flight)


# --- plans -----------------------------------------------------------------------------------


def plans_of(tx: Connection, work: Work, *, explain: str) -> dict[str, str]:
    """Return the statements that `work` runs, but for inserts, with their plans."""
    ran: dict[str, Any] = {}

    def note(*given: Any) -> None:
        _, _, statement, parameters, _, _ = given
        if not statement.startswith("INSERT"):
            ran[statement] = parameters

    event.listen(tx, "before_cursor_execute", note)
    work(tx)
    event.remove(tx, "before_cursor_execute", note)
    return {
        statement: "\n".join(
            str(row[-1]) for row in tx.exec_driver_sql(f"{explain} {statement}", parameters)
        )
        for statement, parameters in ran.items()
    }


def indexes_in(plans: Mapping[str, str]) -> set[str]:
    """Return the indexes that plans read, but for those of keys."""
    return {name for plan in plans.values() for name in _INDEX.findall(plan)}


def read_whole(plans: Mapping[str, str]) -> set[str]:
    """Return the growing tables that plans read from end to end."""
    return {name for plan in plans.values() for name in _READS_ALL.findall(plan)}

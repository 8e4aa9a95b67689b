"""Cost of claiming 100 jobs on PostgreSQL, by the length of the queue."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.components import Components
from bench.sizes import Sizes
from bench.table import Row, latency
from safelight.db.engine import open_database
from safelight.db.migrate import migrate
from safelight.db.tables import jobs
from safelight.jobs.job import JobStatus
from safelight.jobs.ledger import store
from safelight.jobs.scheduling import claims
from safelight.providers.provider import Lane
from tests.factories import LEASE, job_row

T = TypeVar("T")

_AT_ONCE = 100
_ACCOUNTS = """
INSERT INTO accounts (id, name, created_at)
SELECT 'acc_' || number, 'bench', now() FROM generate_series(0, 2000) AS number
"""
# Four in five jobs are account 0's; what they have in common is copied from the first.
_CHANGED = {
    "id": "'job_bench_' || number",
    "account_id": "'acc_' || CASE WHEN number % 5 < 4 THEN 0 ELSE 1 + number / 5 % 2000 END",
    "run_at": "model.run_at + number * interval '1 microsecond'",
}
_FILL = """
INSERT INTO jobs ({columns}) SELECT {values}
FROM jobs AS model, generate_series({first}, {last}) AS number WHERE model.id = '{model}'
"""
_LONGEST_S = 3600  # of one statement that fills


@dataclass(slots=True)
class _Claimer:
    """A worker that goes on where its last claim ended."""

    cursor: claims.Cursor = field(default=claims.START)

    def claim(self, tx: Connection) -> claims.Claimed:
        """Claim once: the one place that knows how it is called."""
        return claims.claim(
            tx,
            worker="wrk_bench",
            lane=Lane.REMOTE,
            slots=_AT_ONCE,
            lease=LEASE,
            cursor=self.cursor,
        )


async def claim_cost(ground: Components, sizes: Sizes) -> tuple[list[Row], str]:
    """Measure claim and commit at each length of the queue; return the rows, and the plans."""
    url = ground.postgres.new_database()
    driver = create_async_engine(
        url.replace("postgresql:", "postgresql+asyncpg:"),
        connect_args={"command_timeout": _LONGEST_S},
    )
    try:
        model = await _prepare(url)
        rows: list[Row] = []
        sections: list[str] = []
        queued = 1
        for length in sizes.queued:
            await _fill(driver, model, queued, length)
            queued = length
            rows.append(await _measure(driver, length, sizes.claims))
            sections.append(f"===== {length:,} queued =====\n\n{await _plans(driver)}")
    finally:
        await driver.dispose()
    return rows, "\n".join(sections)


async def _prepare(url: str) -> str:
    """Make the tables, the accounts and one job; return its id."""
    database = open_database(url)
    try:
        await migrate(database)

        def first(tx: Connection) -> str:
            tx.execute(sa.text(_ACCOUNTS))
            return store.insert(tx, [job_row("acc_0")])[0].id

        return await database.write(first)
    finally:
        await database.close()


async def _fill(driver: AsyncEngine, model: str, present: int, wanted: int) -> None:
    names = [column.name for column in jobs.c]
    statement = _FILL.format(
        columns=", ".join(names),
        values=", ".join(_CHANGED.get(name, f"model.{name}") for name in names),
        first=present,
        last=wanted - 1,
        model=model,
    )
    async with driver.begin() as connection:
        await connection.execute(sa.text(statement))
    async with driver.connect() as connection:
        bare = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await bare.execute(sa.text("VACUUM ANALYZE jobs"))


async def _measure(driver: AsyncEngine, length: int, count: int) -> Row:
    claimer = _Claimer()
    took: list[float] = []
    found = 0
    for _ in range(count):
        began = time.perf_counter()
        async with driver.begin() as connection:
            claimed = await connection.run_sync(claimer.claim)
        took.append(time.perf_counter() - began)
        claimer.cursor = claimed.cursor
        found += len(claimed.jobs)
        await _put_back(driver)
    return {"queued": length, "claims": count, "jobs a claim": found / count, **latency(took)}


async def _put_back(driver: AsyncEngine) -> None:
    """Queue what was claimed again, so that the queue keeps its length."""
    as_before = {
        "status": JobStatus.QUEUED,
        "ready": True,
        "leased_by": None,
        "leased_until": None,
        "started_at": None,
    }
    running = sa.update(jobs).where(jobs.c.status == JobStatus.RUNNING)
    async with driver.begin() as connection:
        await connection.execute(running.values(as_before))


async def _plans(driver: AsyncEngine) -> str:
    """Return the plan of each statement of a claim, as it was run; nothing is kept of it.

    Of a statement with many sets of values, it is the first set's.
    """
    statements: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        statements.append((statement, parameters[0] if many else parameters))

    def watched(tx: Connection) -> None:
        event.listen(tx, "before_cursor_execute", note)
        _Claimer().claim(tx)
        event.remove(tx, "before_cursor_execute", note)

    await _undone(driver, watched)
    return await _undone(driver, lambda tx: "\n".join(_plan(tx, *each) for each in statements))


def _plan(tx: Connection, statement: str, parameters: Any) -> str:
    lines = tx.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters).scalars()
    return f"{statement.strip()}\n\n" + "\n".join(lines) + "\n"


async def _undone(driver: AsyncEngine, work: Callable[[Connection], T]) -> T:
    async with driver.connect() as connection:
        result = await connection.run_sync(work)
        await connection.rollback()
        return result

"""The SQL of a job's cost: the sum over its attempts, unknown if any of them is."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from safelight.db.tables import attempts, jobs
from safelight.json_object import JsonObject

Spent = tuple[int | None, int | None]  # the total, None if partly unknown; and the known part


def of_attempts(
    ending: ColumnElement[Any] | None = None, cost: ColumnElement[Any] | None = None
) -> JsonObject:
    """Return the values of the two cost columns, for an UPDATE of `jobs`.

    `ending` is the id of an attempt that this transaction will close later, with `cost`.
    """
    mine = [attempts.c.job_id == jobs.c.id]
    if ending is not None:
        mine.append(attempts.c.id != ending)
    spent = (
        sa.select(sa.func.coalesce(sa.func.sum(attempts.c.cost_micros), 0))
        .where(*mine)
        .correlate_except(attempts)
        .scalar_subquery()
    )
    unknown = sa.exists().where(*mine, attempts.c.cost_micros.is_(None)).correlate_except(attempts)
    known: ColumnElement[Any] = sa.cast(spent, sa.BigInteger)
    if cost is not None:
        known = known + sa.func.coalesce(cost, 0)
        unknown = sa.or_(unknown, cost.is_(None))
    return {
        "cost_micros": sa.case((unknown, sa.null()), else_=known),
        "cost_known_micros": known,
    }


def lock(tx: Connection, job_ids: Collection[str]) -> None:
    """Lock jobs for the rest of the transaction, always in the same order.

    A PostgreSQL statement sees the commits before its start, even if it then waits for a row lock:
    an UPDATE with the sum would miss the cost whose transaction it waited for. The next statement
    sees it.
    """
    if tx.dialect.name == "postgresql":
        query = sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids)).order_by(jobs.c.id)
        tx.execute(query.with_for_update())


def write(tx: Connection, job_ids: Collection[str]) -> dict[str, Spent]:
    """Update the costs of jobs that this transaction has locked."""
    spent = of_attempts()
    statement = (
        sa.update(jobs)
        .where(jobs.c.id.in_(job_ids))
        .values(cost_micros=spent["cost_micros"], cost_known_micros=spent["cost_known_micros"])
        .returning(jobs.c.id, jobs.c.cost_micros, jobs.c.cost_known_micros)
    )
    return {row.id: (row.cost_micros, row.cost_known_micros) for row in tx.execute(statement)}

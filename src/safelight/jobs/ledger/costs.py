"""The SQL of a job's cost: the sum of its attempts' costs, unknown where one of them is."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from safelight.db.tables import attempts, jobs


def of_attempts(
    ending: ColumnElement[Any] | None = None, cost: ColumnElement[Any] | None = None
) -> dict[str, Any]:
    """Return the values of a job's two cost columns, for an UPDATE of `jobs`.

    `ending` is the id of an attempt that the same transaction closes only later, with `cost`.
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


def write(tx: Connection, attempt_id: str) -> None:
    """Sum up again after the cost of one attempt has changed."""
    of_attempt = sa.select(attempts.c.job_id).where(attempts.c.id == attempt_id).scalar_subquery()
    tx.execute(sa.update(jobs).where(jobs.c.id == of_attempt).values(of_attempts()))

"""How fast a provider that refused for a rate limit is started at: slower, then faster again.

What it took in the minute before says what it bears. The pace grows by the minute until the next
refusal, and is forgotten when none comes for long.
"""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import attempts, breakers
from safelight.db.types import now
from safelight.jobs.job import Outcome

_WINDOW = timedelta(minutes=1)
_FORGOTTEN_AFTER = timedelta(minutes=10)
_PART = 0.8  # of what was taken
_GROWTH = 1.5  # a minute
_LEAST = (
    10.0  # a minute: who refuses less was busy otherwise, and the pause that it asks for is enough
)

# Whether any provider is held to a pace; for the query that looks at a lane.
A_PROVIDER_IS_PACED = (
    sa.select(breakers.c.provider).where(breakers.c.paced_at > now(-_FORGOTTEN_AFTER)).exists()
)


def slowed(taken: int, pace: float | None) -> float | None:
    """Return the starts a minute after a refusal: `taken` are those of the minute before it.

    None where so few were taken that their number is not what was refused.
    """
    if taken < _LEAST and pace is None:
        return None
    return max(_LEAST, _PART * (taken if pace is None else min(taken, pace)))


def grown(pace: float | None, age: timedelta) -> float | None:
    """Return what has become of a pace in the `age` since its refusal; None is no pace at all."""
    if pace is None or age > _FORGOTTEN_AFTER:
        return None
    return pace * _GROWTH ** (age / _WINDOW)


def after_refusal(tx: Connection, provider: str) -> float | None:
    """Return the pace to note; None where the refusal tells nothing new.

    What was under way when a provider asked for its pause is refused too, all for the same reason.
    """
    row = tx.execute(
        sa.select(
            (breakers.c.shut_until > now()).label("is_shut"),
            breakers.c.pace,
            (breakers.c.paced_at).label("at"),
            now().label("now"),
        ).where(breakers.c.provider == provider)
    ).one_or_none()
    if row is None:
        return slowed(_taken(tx, provider), None)
    if row.is_shut:
        return None
    return slowed(_taken(tx, provider), grown(row.pace, row.now - (row.at or row.now)))


def _taken(tx: Connection, provider: str) -> int:
    """Count what the provider was sent lately and did not refuse."""
    lately = attempts.c.created_at > now(-_WINDOW)
    refused = sa.func.coalesce(attempts.c.outcome, "") == Outcome.FAILED
    query = (
        sa.select(sa.func.count())
        .select_from(attempts)
        .where(lately, attempts.c.provider == provider, ~refused)
    )
    return tx.scalar(query) or 0

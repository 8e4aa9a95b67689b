"""Adaptive start rates after a provider's rate limit: slower at first, then faster again.

The starts it accepted in the minute before determine the pace, which then grows every minute until
the next rate limit, and is dropped after a long time without one.
"""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import attempts, breakers
from safelight.db.types import now
from safelight.jobs.job import Outcome

_WINDOW = timedelta(minutes=1)
_FORGOTTEN_AFTER = timedelta(minutes=10)
_PART = 0.8  # of the accepted starts
_GROWTH = 1.5  # per minute
_LEAST = 10.0  # per minute: below that, the requested pause is enough

# Whether any provider is paced; part of the lane query.
A_PROVIDER_IS_PACED = (
    sa.select(breakers.c.provider).where(breakers.c.paced_at > now(-_FORGOTTEN_AFTER)).exists()
)


def slowed(taken: int, pace: float | None) -> float | None:
    """Return the starts per minute after a rate limit; `taken` are those of the minute before it.

    None if so few were taken that the rate was not the cause.
    """
    if taken < _LEAST and pace is None:
        return None
    return max(_LEAST, _PART * (taken if pace is None else min(taken, pace)))


def grown(pace: float | None, age: timedelta) -> float | None:
    """Return a pace after growing for `age` since its rate limit; None if there is none."""
    if pace is None or age > _FORGOTTEN_AFTER:
        return None
    return pace * _GROWTH ** (age / _WINDOW)


def after_refusal(tx: Connection, provider: str) -> float | None:
    """Return the pace to set after a rate limit; None if it provides no new information.

    Requests in progress when the pause began are rejected too, for the same reason.
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
    """Count the provider's recent starts that did not fail."""
    lately = attempts.c.created_at > now(-_WINDOW)
    refused = sa.func.coalesce(attempts.c.outcome, "") == Outcome.FAILED
    query = (
        sa.select(sa.func.count())
        .select_from(attempts)
        .where(lately, attempts.c.provider == provider, ~refused)
    )
    return tx.scalar(query) or 0

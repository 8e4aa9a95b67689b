"""Limits on jobs in flight, per account and per provider, across all workers.

Counting and claiming must not interleave with another claim: `lock` serializes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import IN_FLIGHT, LIMITED, accounts, jobs, start_rates
from safelight.db.types import now

_TURN = 7_331_002  # any number that only Safelight uses for pg_advisory_xact_lock
_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class ProviderLimit:
    """The limits of a provider; None: no limit."""

    in_flight: int | None = None
    starts_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class ClaimLimits:
    """The limits across all workers. An account's own `max_in_flight` overrides `account`."""

    account: int | None = None  # jobs in flight
    providers: Mapping[str, ProviderLimit] = field(
        default_factory=lambda: MappingProxyType[str, ProviderLimit]({})
    )


NO_LIMITS = ClaimLimits()


@dataclass(frozen=True, slots=True)
class Room:
    """How many more jobs a provider can take now, and when to retry if none."""

    starts: int
    again_in: timedelta | None = None


# Whether any account has its own limit; part of the lane query.
AN_ACCOUNT_IS_LIMITED = sa.select(accounts.c.id).where(LIMITED).exists()


def slower(limit: ProviderLimit | None, per_minute: float | None) -> ProviderLimit | None:
    """Return the limit, lowered to the provider's pace if that is less."""
    if per_minute is None:
        return limit
    limit = limit or ProviderLimit()
    most = limit.starts_per_minute
    paced = max(int(per_minute), 1)
    return replace(limit, starts_per_minute=paced if most is None else min(most, paced))


def lock(tx: Connection) -> None:
    """Wait for other claims to commit, because concurrent ones could exceed a limit together."""
    if tx.dialect.name == "postgresql":  # SQLite has one writer
        tx.execute(_LOCK_STATEMENT)


_LOCK_STATEMENT = sa.select(sa.func.pg_advisory_xact_lock(_TURN))


def room(tx: Connection, provider: str, limit: ProviderLimit | None, wanted: int) -> Room:
    """Return how many of `wanted` jobs the provider can take."""
    if limit is None:
        return Room(wanted)
    if limit.in_flight is not None:
        busy = tx.scalar(
            sa.select(sa.func.count())
            .select_from(jobs)
            .where(IN_FLIGHT, jobs.c.provider == provider)
        )
        wanted = min(wanted, max(limit.in_flight - (busy or 0), 0))
    if limit.starts_per_minute is None or not wanted:
        return Room(wanted)
    tokens, _ = _tokens(tx, provider, limit.starts_per_minute)
    if tokens < 1:
        missing = (1 - tokens) / _refill(limit.starts_per_minute)
        return Room(0, timedelta(seconds=missing))
    return Room(min(wanted, int(tokens)))


def spend(tx: Connection, provider: str, limit: ProviderLimit | None, starts: int) -> None:
    """Count claimed `starts` against the provider's rate limit."""
    if limit is None or limit.starts_per_minute is None or not starts:
        return
    tokens, at = _tokens(tx, provider, limit.starts_per_minute)
    tx.execute(
        sa.update(start_rates)
        .where(start_rates.c.provider == provider)
        .values(tokens=tokens - starts, filled_at=at)
    )


def _tokens(tx: Connection, provider: str, per_minute: int) -> tuple[float, datetime]:
    """Return the tokens in the provider's bucket; full, it has a tenth of the minute's limit."""
    row = tx.execute(
        sa.select(start_rates.c.tokens, start_rates.c.filled_at, now().label("now")).where(
            start_rates.c.provider == provider
        )
    ).one_or_none()
    if row is None:
        full = {"provider": provider, "tokens": _burst(per_minute), "filled_at": now()}
        tx.execute(sa.insert(start_rates).values(full))
        return _tokens(tx, provider, per_minute)
    passed = max((row.now - row.filled_at).total_seconds(), 0)
    return min(row.tokens + passed * _refill(per_minute), _burst(per_minute)), row.now


def _burst(per_minute: int) -> float:
    return float(max(per_minute // 10, 1))


def _refill(per_minute: int) -> float:
    """Return tokens per second, so that a full bucket and a minute's refill stay in the limit.

    Any minute yields fewer than burst + (limit - burst + 1) tokens; only whole ones are spent.
    """
    return (per_minute - _burst(per_minute) + 1) / _MINUTE_S

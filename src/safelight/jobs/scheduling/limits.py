"""How much may be in flight at once, over all workers: of one account, and at one provider.

Counting and claiming must not be interleaved with another claim: `lock` makes them take turns.
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
    """What one provider is given at most; None is no limit."""

    in_flight: int | None = None
    starts_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds over all workers. An account's own `max_in_flight` goes before `account`."""

    account: int | None = None  # jobs in flight
    providers: Mapping[str, ProviderLimit] = field(
        default_factory=lambda: MappingProxyType[str, ProviderLimit]({})
    )


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Room:
    """How many more jobs a provider takes now, and when a full one should be asked again."""

    starts: int
    again_in: timedelta | None = None


# Whether any account has a limit of its own; for the query that looks at a lane.
AN_ACCOUNT_IS_LIMITED = sa.select(accounts.c.id).where(LIMITED).exists()


def slower(limit: ProviderLimit | None, per_minute: float | None) -> ProviderLimit | None:
    """Return the limit with a pace that the provider asked for, where that is less."""
    if per_minute is None:
        return limit
    limit = limit or ProviderLimit()
    most = limit.starts_per_minute
    paced = max(int(per_minute), 1)
    return replace(limit, starts_per_minute=paced if most is None else min(most, paced))


def lock(tx: Connection) -> None:
    """Wait for other claims to commit: two at once could break a limit together."""
    if tx.dialect.name == "postgresql":  # SQLite has one writer
        tx.execute(_LOCK_STATEMENT)


_LOCK_STATEMENT = sa.select(sa.func.pg_advisory_xact_lock(_TURN))


def room(tx: Connection, provider: str, limit: ProviderLimit | None, wanted: int) -> Room:
    """Return how many of `wanted` jobs the provider may be given."""
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
    """Count `starts` that were claimed against the provider's rate."""
    if limit is None or limit.starts_per_minute is None or not starts:
        return
    tokens, at = _tokens(tx, provider, limit.starts_per_minute)
    tx.execute(
        sa.update(start_rates)
        .where(start_rates.c.provider == provider)
        .values(tokens=tokens - starts, filled_at=at)
    )


def _tokens(tx: Connection, provider: str, per_minute: int) -> tuple[float, datetime]:
    """Return what the provider's bucket holds now: a tenth of its minute when full."""
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
    """Return tokens a second, such that a full bucket and a minute's worth stay within the limit.

    Within any minute less than burst + (limit - burst + 1) tokens are to be had, and they are
    spent whole.
    """
    return (per_minute - _burst(per_minute) + 1) / _MINUTE_S

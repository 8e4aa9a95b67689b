"""Circuit breakers for providers, shared by all workers.

After several consecutive faults a breaker shuts for a while, then lets one trial job through, and
opens again if that succeeds. A rate limit shuts it for the requested time, and slows down starts
afterwards. Jobs for a shut provider stay queued; its work in progress continues. The operator is
notified once when a provider fails or rejects our key, and once when it recovers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from safelight import events, telemetry
from safelight.accounts import store as account_store
from safelight.cpu import OutOfResources
from safelight.db.tables import breakers
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.errors import Remedy, SafelightError
from safelight.events import NewEvent
from safelight.jobs import retry
from safelight.jobs.scheduling import pace
from safelight.providers.errors import (
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderUnauthorized,
)

_log = telemetry.logger(__name__)

TRIPS_AT = 10
"""Consecutive faults that trip a breaker."""

SHUT = timedelta(seconds=30)
_LONGEST = timedelta(minutes=10)
_USUAL_PAUSE = timedelta(seconds=5)  # for a rate limit without Retry-After
_OF_THE_INSTALLATION = (ProviderUnauthorized, ProviderOutOfCredit)  # affects every job
_REMEDIES = {
    ProviderUnauthorized.code: "configure a valid API key",
    ProviderOutOfCredit.code: "top up the provider account",
}


@dataclass(frozen=True, slots=True)
class Breaker:
    """A tripped breaker; `shut_until` is None or past while it is on trial."""

    provider: str
    faults: int
    shut_until: datetime | None
    reason: str  # the code of its last fault
    refused_look: str | None = None  # the error code of its refused lookups
    shut_for: timedelta = timedelta()  # remaining time, by the database's clock

    @property
    def is_left(self) -> bool:
        """Whether its jobs should fall back to another provider; short pauses are waited out."""
        return self.shut_for > timedelta() and (
            self.faults >= TRIPS_AT or not retry.is_short(self.shut_for)
        )

    def advice(self) -> str:
        """Describe the problem and the operator's remedy, briefly."""
        code = self.refused_look or self.reason
        words = f"{self.provider} ({code})"
        if self.refused_look:
            words += " rejects lookups of its work, which waits"
        return f"{words}: {_REMEDIES[code]}" if code in _REMEDIES else words


@dataclass(frozen=True, slots=True)
class Passage:
    """How many jobs a claim may start at a provider, None: any; when to retry; its pace."""

    starts: int | None
    again_in: timedelta | None = None
    per_minute: float | None = None


OPEN = Passage(None)

# Whether any passage differs from `OPEN`; part of the lane query.
A_PROVIDER_IS_HELD_BACK = (
    sa.select(breakers.c.provider)
    .where(
        sa.or_(
            breakers.c.shut_until > now(),
            breakers.c.faults >= TRIPS_AT,
            breakers.c.pace.is_not(None),
        )
    )
    .exists()
)


def passages(tx: Connection, providers: Iterable[str]) -> dict[str, Passage]:
    """Return the passage of each provider that has a breaker row."""
    query = sa.select(breakers, now().label("now")).where(
        breakers.c.provider.in_(sorted(providers))
    )
    found: dict[str, Passage] = {}
    for row in tx.execute(query):
        if row.shut_until is not None and row.shut_until > row.now:
            found[row.provider] = Passage(0, row.shut_until - row.now)
        else:
            per_minute = pace.grown(row.pace, row.now - (row.paced_at or row.now))
            trial = 1 if row.faults >= TRIPS_AT else None
            found[row.provider] = Passage(trial, per_minute=per_minute)
    return found


def begin_trial(tx: Connection, provider: str) -> bool:
    """Take the single trial of a tripped breaker; False if another process has it."""
    taken = (
        sa.update(breakers)
        .where(
            breakers.c.provider == provider,
            sa.or_(breakers.c.shut_until.is_(None), breakers.c.shut_until <= now()),
        )
        .values(shut_until=now(SHUT))
    )
    return bool(tx.execute(taken).rowcount)


def note_fault(
    tx: Connection, provider: str, error: SafelightError, *, looking: bool = False
) -> None:
    """Count a fault, if it concerns the provider and not the job.

    `looking` is true for a lookup of work in progress, false for a start.
    """
    if isinstance(error, ProviderRateLimited):
        pause = _USUAL_PAUSE if error.retry_after is None else error.retry_after
        _slow_down(tx, provider, pace.after_refusal(tx, provider), error)
        _shut(tx, provider, min(pause, _LONGEST), error, faults=0)
    elif isinstance(error, _OF_THE_INSTALLATION):
        _shut(tx, provider, SHUT, error, faults=TRIPS_AT)
        if looking:
            _change(tx, [provider], refused_look=error.code)
    elif isinstance(error, ProviderError | OutOfResources) and error.remedy in (
        Remedy.RETRY,
        Remedy.UNKNOWN,
    ):
        _count(tx, provider, error)
    _tell_of_a_fall(tx, provider, error)


def note_successes(tx: Connection, providers: Iterable[str]) -> None:
    """Clear the faults of each provider; requested pauses and paces stay."""
    _recover(tx, providers, breakers.c.faults > 0)


def note_seen(tx: Connection, providers: Iterable[str]) -> None:
    """Clear authorization faults of each provider, because a lookup has succeeded.

    That proves nothing about other faults, or about missing credit for starts.
    """
    _recover(
        tx,
        providers,
        sa.or_(
            breakers.c.refused_look.is_not(None),
            sa.and_(breakers.c.faults >= TRIPS_AT, breakers.c.reason == ProviderUnauthorized.code),
        ),
    )


def unwell(tx: Connection) -> list[Breaker]:
    """Return the breakers that are shut or on trial."""
    query = (
        sa.select(breakers, now().label("now"))
        .where(sa.or_(breakers.c.shut_until > now(), breakers.c.faults >= TRIPS_AT))
        .order_by(breakers.c.provider)
    )
    return [
        Breaker(
            row.provider,
            row.faults,
            row.shut_until,
            row.reason,
            row.refused_look,
            max((row.shut_until or row.now) - row.now, timedelta()),
        )
        for row in tx.execute(query)
    ]


def _recover(tx: Connection, providers: Iterable[str], unwell: ColumnElement[bool]) -> None:
    mended = _change(tx, providers, unwell, faults=0, shut_until=None, refused_look=None)
    if not mended:
        return
    told = _change(tx, mended, breakers.c.degraded_at.is_not(None), degraded_at=None)
    for provider in told:
        _log.warning("provider recovered", provider=provider)
        _tell(tx, provider, "provider.recovered", {})


def _tell_of_a_fall(tx: Connection, provider: str, error: SafelightError) -> None:
    """Append the degraded event, once until the provider recovers."""
    new = (breakers.c.degraded_at.is_(None), breakers.c.faults >= TRIPS_AT)
    if _change(tx, [provider], *new, degraded_at=now()):
        _log.warning("provider degraded", provider=provider, reason=error.code, detail=error.detail)
        data = {"reason": error.code, "detail": error.detail}
        _tell(tx, provider, "provider.degraded", data)


def _tell(tx: Connection, provider: str, kind: str, data: Mapping[str, str]) -> None:
    """Append an event for the operator; the breaker's row, just updated, serializes them."""
    account = account_store.operator(tx)
    if account is not None:
        seq = events.last_seq(tx, provider) + 1
        events.append(tx, [NewEvent(account, provider, seq, kind, {"provider": provider, **data})])


def _change(
    tx: Connection, providers: Iterable[str], *match: ColumnElement[bool], **values: object
) -> list[str]:
    """Update the matching rows of these providers, and return the providers changed."""
    mine = breakers.c.provider.in_(sorted(set(providers)))
    changing = sa.update(breakers).where(mine, *match).values(**values)
    return list(tx.scalars(changing.returning(breakers.c.provider)))


def _count(tx: Connection, provider: str, error: SafelightError) -> None:
    trips = breakers.c.faults + 1 >= TRIPS_AT
    is_shut = sa.func.coalesce(breakers.c.shut_until > now(), sa.false())
    _upsert(
        tx,
        {"provider": provider, "faults": 1, "reason": error.code},
        {
            # Work in progress when it was shut fails too, and is not counted again.
            "faults": breakers.c.faults + sa.case((is_shut, 0), else_=1),
            "shut_until": sa.case(
                (sa.and_(trips, ~is_shut), now(SHUT)), else_=breakers.c.shut_until
            ),
            "reason": error.code,
        },
    )


def _slow_down(
    tx: Connection, provider: str, per_minute: float | None, error: SafelightError
) -> None:
    if per_minute is None:
        return
    slower: dict[str, object] = {"pace": per_minute, "paced_at": now()}
    _upsert(tx, {"provider": provider, "faults": 0, "reason": error.code, **slower}, slower)


def _shut(
    tx: Connection, provider: str, length: timedelta, error: SafelightError, *, faults: int
) -> None:
    until = now(length)
    longer = sa.case((breakers.c.shut_until > until, breakers.c.shut_until), else_=until)
    more = sa.case((breakers.c.faults > faults, breakers.c.faults), else_=faults)
    _upsert(
        tx,
        {"provider": provider, "faults": faults, "shut_until": until, "reason": error.code},
        {"faults": more, "shut_until": longer, "reason": error.code},
    )


def _upsert(tx: Connection, row: dict[str, object], changes: dict[str, object]) -> None:
    tx.execute(
        upsert(tx, breakers)
        .values(**row)
        .on_conflict_do_update(index_elements=[breakers.c.provider], set_=changes)
    )

"""Rows of webhook endpoints."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight import events, ids
from safelight.db.rows import from_row
from safelight.db.sealed import closed, opened
from safelight.db.tables import DEFAULT, PENDING, deliveries, endpoints
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.events import NewEvent
from safelight.webhooks.delivery import DeliveryState, SendOutcome
from safelight.webhooks.endpoint import BOTH_VALID, GIVEN_UP_AFTER, DisabledReason, Endpoint

_TOO_LONG_AGO = now(-GIVEN_UP_AFTER)


def insert(tx: Connection, account_id: str, **values: Any) -> Endpoint:
    """Insert an endpoint; it receives events from now on."""
    endpoint_id = ids.new("endpoint")
    statement = (
        sa.insert(endpoints)
        .values(
            id=endpoint_id,
            account_id=account_id,
            created_at=now(),
            **closed(tx, endpoints, endpoint_id, values),
        )
        .returning(endpoints)
    )
    return _to_endpoint(tx, tx.execute(statement).mappings().one())


def find_default(tx: Connection, account_id: str) -> Endpoint | None:
    """Return the account's default endpoint, or None."""
    query = sa.select(endpoints).where(DEFAULT, endpoints.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_endpoint(tx, row)


def ensure_default(tx: Connection, account_id: str, *, secret: str) -> Endpoint:
    """Return the account's default endpoint, created if missing; safe under concurrency."""
    endpoint_id = ids.new("endpoint")
    tx.execute(
        upsert(tx, endpoints)
        .values(
            id=endpoint_id,
            account_id=account_id,
            url="",
            events=[],
            created_at=now(),
            **closed(tx, endpoints, endpoint_id, {"secret": secret}),
        )
        .on_conflict_do_nothing()
    )
    query = sa.select(endpoints).where(DEFAULT, endpoints.c.account_id == account_id)
    return _to_endpoint(tx, tx.execute(query).mappings().one())


def of_accounts(tx: Connection, account_ids: Collection[str]) -> list[Endpoint]:
    """Return these accounts' endpoints, oldest first."""
    query = (
        sa.select(endpoints)
        .where(endpoints.c.account_id.in_(sorted(account_ids)))
        .order_by(endpoints.c.id)
    )
    return [_to_endpoint(tx, row) for row in tx.execute(query).mappings()]


def get(tx: Connection, account_id: str, endpoint_id: str) -> Endpoint | None:
    """Return the account's endpoint, or None."""
    query = sa.select(endpoints).where(
        endpoints.c.id == endpoint_id, endpoints.c.account_id == account_id
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_endpoint(tx, row)


def change(tx: Connection, endpoint_id: str, **values: Any) -> None:
    """Set columns of an endpoint."""
    if values:
        tx.execute(sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(**values))


def rotate(tx: Connection, endpoint_id: str, *, secret: str) -> Endpoint:
    """Set a new secret; the old one also signs for a while."""
    statement = (
        sa.update(endpoints)
        .where(endpoints.c.id == endpoint_id)
        .values(
            old_secret=endpoints.c.secret,
            old_secret_until=now(BOTH_VALID),
            **closed(tx, endpoints, endpoint_id, {"secret": secret}),
        )
        .returning(endpoints)
    )
    return _to_endpoint(tx, tx.execute(statement).mappings().one())


def delete(tx: Connection, account_id: str, endpoint_id: str) -> bool:
    """Delete an endpoint with its deliveries; False if the account has no such endpoint."""
    statement = sa.delete(endpoints).where(
        endpoints.c.id == endpoint_id, endpoints.c.account_id == account_id
    )
    return bool(tx.execute(statement).rowcount)


def remove(tx: Connection, account_id: str, *, limit: int) -> int:
    """Remove up to `limit` endpoints of a deleted account, with their deliveries."""
    mine = sa.select(endpoints.c.id).where(endpoints.c.account_id == account_id).limit(limit)
    gone = sa.delete(endpoints).where(endpoints.c.id.in_(tx.scalars(mine).all()))
    return tx.execute(gone).rowcount


def enable(tx: Connection, endpoint_id: str) -> None:
    """Enable an endpoint and clear its failures."""
    change(tx, endpoint_id, disabled_at=None, disabled_reason="", failing_since=None)


def disable(tx: Connection, endpoint_id: str, reason: DisabledReason) -> None:
    """Disable an endpoint, and fail its pending deliveries."""
    statement = (
        sa.update(endpoints)
        .where(endpoints.c.id == endpoint_id, endpoints.c.disabled_at.is_(None))
        .values(disabled_at=now(), disabled_reason=reason, seq=endpoints.c.seq + 1)
        .returning(endpoints.c.account_id, endpoints.c.seq)
    )
    row = tx.execute(statement).one_or_none()
    if row is None:
        return
    # Skip rows that another notifier has locked, because waiting could deadlock; they fail
    # when they are due.
    waiting = (
        sa.select(deliveries.c.id)
        .where(PENDING, deliveries.c.endpoint_id == endpoint_id)
        .with_for_update(skip_locked=True)
    )
    tx.execute(
        sa.update(deliveries)
        .where(deliveries.c.id.in_(waiting))
        .values(state=DeliveryState.FAILED, error="The endpoint was disabled.", finished_at=now())
    )
    told = NewEvent(row.account_id, endpoint_id, row.seq, "delivery.disabled", {"reason": reason})
    events.append(tx, [told])


def note_health(tx: Connection, ended: Sequence[tuple[str, SendOutcome]]) -> None:
    """Track since when endpoints have been failing; disable those that are gone or hopeless."""
    well = {name for name, outcome in ended if outcome.state is DeliveryState.DELIVERED}
    gone = {name for name, outcome in ended if outcome.gone}
    failed = {name for name, _ in ended} - well - gone
    since = endpoints.c.failing_since
    if well:
        recovered = sa.update(endpoints).where(endpoints.c.id.in_(well), since.is_not(None))
        tx.execute(recovered.values(failing_since=None))
    if failed:
        fallen = sa.update(endpoints).where(endpoints.c.id.in_(failed), since.is_(None))
        tx.execute(fallen.values(failing_since=now()))
        hopeless = sa.select(endpoints.c.id).where(
            endpoints.c.id.in_(failed), endpoints.c.disabled_at.is_(None), since < _TOO_LONG_AGO
        )
        for endpoint_id in tx.scalars(hopeless).all():
            disable(tx, endpoint_id, DisabledReason.FAILING)
    for endpoint_id in sorted(gone):
        disable(tx, endpoint_id, DisabledReason.GONE)


def _to_endpoint(tx: Connection, row: RowMapping) -> Endpoint:
    return from_row(Endpoint, opened(tx, endpoints, row))

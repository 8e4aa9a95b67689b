"""The rows of webhook endpoints and of deliveries to them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.dialects import postgresql, sqlite

from safelight import events, ids
from safelight.db.tables import PENDING, deliveries, endpoints
from safelight.db.types import now
from safelight.delivery.endpoint import Delivery, DeliveryState, Endpoint
from safelight.events import Event

_LOOKED_AT = 500  # due deliveries a claim, from which each endpoint gets its share


# --- endpoints -------------------------------------------------------------------------------


def insert_endpoint(
    tx: Connection, account_id: str, *, url: str, wanted: Sequence[str], secret: str
) -> Endpoint:
    """Write a new endpoint; it is told of what happens from now on."""
    statement = (
        sa.insert(endpoints)
        .values(
            id=ids.new("endpoint"),
            account_id=account_id,
            url=url,
            events=list(wanted),
            secret=secret,
            created_at=now(),
        )
        .returning(endpoints)
    )
    return _to_endpoint(tx.execute(statement).mappings().one())


def endpoints_of(tx: Connection, account_ids: Collection[str]) -> list[Endpoint]:
    """Return these accounts' endpoints, oldest first."""
    query = (
        sa.select(endpoints)
        .where(endpoints.c.account_id.in_(sorted(account_ids)))
        .order_by(endpoints.c.id)
    )
    return [_to_endpoint(row) for row in tx.execute(query).mappings()]


def get_endpoint(tx: Connection, account_id: str, endpoint_id: str) -> Endpoint | None:
    """Return the account's endpoint."""
    query = sa.select(endpoints).where(
        endpoints.c.id == endpoint_id, endpoints.c.account_id == account_id
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_endpoint(row)


def delete_endpoint(tx: Connection, account_id: str, endpoint_id: str) -> bool:
    """Remove an endpoint with its deliveries; False where the account has none of that id."""
    statement = sa.delete(endpoints).where(
        endpoints.c.id == endpoint_id, endpoints.c.account_id == account_id
    )
    return bool(tx.execute(statement).rowcount)


def disable(tx: Connection, endpoint_id: str) -> None:
    """Send nothing more to an endpoint that said it is gone."""
    tx.execute(
        sa.update(endpoints)
        .where(endpoints.c.id == endpoint_id, endpoints.c.disabled_at.is_(None))
        .values(disabled_at=now())
    )


# --- deliveries ------------------------------------------------------------------------------


def fan_out(tx: Connection, *, limit: int) -> int:
    """Make the deliveries of up to `limit` events that have none yet; return how many events.

    A pair of endpoint and event is one row however often this happens.
    """
    found = events.untold(tx, limit=limit)
    if not found:
        return 0
    open_to = [
        endpoint
        for endpoint in endpoints_of(tx, {event.account_id for event in found})
        if endpoint.disabled_at is None
    ]
    rows = [
        _new_delivery(endpoint, event)
        for event in found
        for endpoint in open_to
        if endpoint.account_id == event.account_id and endpoint.wants(event.type)
    ]
    if rows:
        insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        statement = insert(deliveries).values(due_at=now(), created_at=now())
        tx.execute(statement.on_conflict_do_nothing(), rows)
    events.mark_told(tx, found)
    return len(found)


def _new_delivery(endpoint: Endpoint, event: Event) -> dict[str, Any]:
    document = event.document() | {"created_at": event.created_at.isoformat()}
    return {
        "id": ids.new("delivery"),
        "endpoint_id": endpoint.id,
        "event_id": event.id,
        "event": document,
        "state": DeliveryState.PENDING,
    }


def claim_due(
    tx: Connection, *, slots: int, each: int, busy: Mapping[str, int], lease: timedelta
) -> list[Delivery]:
    """Take up to `slots` due deliveries; with those `busy`, no endpoint has more than `each`.

    Whoever takes one moves its time on by the lease: if that notifier dies, it is due again then.
    """
    full = sorted(name for name, count in busy.items() if count >= each)
    due = (
        sa.select(deliveries.c.id, deliveries.c.endpoint_id, deliveries.c.due_at)
        .where(
            PENDING,
            deliveries.c.due_at <= now(),
            deliveries.c.endpoint_id.not_in(full),
        )
        .order_by(deliveries.c.due_at)
        .limit(_LOOKED_AT)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    turn = sa.func.row_number().over(partition_by=due.c.endpoint_id, order_by=due.c.due_at)
    ranked = sa.select(due.c.id, due.c.endpoint_id, turn.label("turn")).subquery()
    under_way = sa.case(dict(busy), value=ranked.c.endpoint_id, else_=0) if busy else sa.literal(0)
    chosen = sa.select(ranked.c.id).where(ranked.c.turn + under_way <= each).limit(slots)
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(chosen))
        .values(due_at=now(lease), tries=deliveries.c.tries + 1)
        .returning(deliveries)
    )
    return [_to_delivery(row) for row in tx.execute(statement).mappings()]


def settle(
    tx: Connection,
    delivery: Delivery,
    *,
    state: DeliveryState,
    status: int | None,
    error: str,
    answer: str,
    wait: timedelta = timedelta(),
) -> None:
    """Write how a try ended, unless the lease ran out and another notifier tries meanwhile."""
    final = state is not DeliveryState.PENDING
    tx.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == delivery.id, deliveries.c.tries == delivery.tries, PENDING)
        .values(
            state=state,
            status=status,
            error=error,
            answer=answer,
            due_at=now(wait),
            finished_at=now() if final else None,
        )
    )


def of_endpoint(
    tx: Connection, endpoint_id: str, *, before: str | None, limit: int
) -> list[Delivery]:
    """Return up to `limit` deliveries to an endpoint older than id `before`, newest first."""
    query = sa.select(deliveries).where(deliveries.c.endpoint_id == endpoint_id)
    if before:
        query = query.where(deliveries.c.id < before)
    query = query.order_by(deliveries.c.id.desc()).limit(limit)
    return [_to_delivery(row) for row in tx.execute(query).mappings()]


def send_again(tx: Connection, endpoint_id: str, delivery_id: str) -> Delivery | None:
    """Make a delivery due now with all its tries ahead of it; None where there is none such."""
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.endpoint_id == endpoint_id)
        .values(state=DeliveryState.PENDING, tries=0, due_at=now(), finished_at=None)
        .returning(deliveries)
    )
    row = tx.execute(statement).mappings().one_or_none()
    return None if row is None else _to_delivery(row)


def forget(tx: Connection, *, kept: timedelta, limit: int) -> int:
    """Remove deliveries that ended longer than `kept` ago, a page at a time."""
    old = sa.select(deliveries.c.id).where(deliveries.c.finished_at < now(-kept)).limit(limit)
    return tx.execute(sa.delete(deliveries).where(deliveries.c.id.in_(old))).rowcount


def _to_endpoint(row: RowMapping) -> Endpoint:
    fields: dict[str, Any] = {**row}
    return Endpoint(**fields)


def _to_delivery(row: RowMapping) -> Delivery:
    fields: dict[str, Any] = {**row}
    fields["state"] = DeliveryState(row["state"])
    return Delivery(**fields)

"""Rows of webhook deliveries and their tries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.sql.dml import ReturningUpdate

from safelight.db.json_rows import JsonRows
from safelight.db.outbox import Outbox, Settled
from safelight.db.rows import from_row
from safelight.db.tables import deliveries, delivery_tries
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.db.walks import among, newest
from safelight.events import Event
from safelight.webhooks import endpoint_store, fanout
from safelight.webhooks.delivery import Delivery, DeliveryState, Logged, SendOutcome, Try
from safelight.webhooks.endpoint import Endpoint
from safelight.webhooks.shares import Taken

OUTBOX = Outbox(deliveries, status=sa.Integer, answer=sa.Text)

_LOOKED_AT = 500  # due deliveries examined per claim
_TRIES_KEPT = 20  # per delivery, including redeliveries

Ended = tuple[Delivery, SendOutcome]

# Returns the webhook URL of each job or batch that names one; this package knows neither.
UrlsOf = Callable[[Connection, Collection[str]], Mapping[str, str]]


# --- making and claiming deliveries ----------------------------------------------------------


def fan_out(tx: Connection, found: Sequence[Event], urls_of: UrlsOf) -> None:
    """Create the deliveries for events; idempotent, one per endpoint and event."""
    listening = endpoint_store.of_accounts(tx, {event.account_id for event in found})
    ended = fanout.named_in(found) if any(one.is_default for one in listening) else []
    rows = fanout.deliveries_of(found, listening, urls_of(tx, ended) if ended else {})
    if rows:
        statement = upsert(tx, deliveries).values(due_at=now(), created_at=now())
        tx.execute(statement.on_conflict_do_nothing(), rows)


def insert_trial(tx: Connection, endpoint: Endpoint) -> Delivery:
    """Insert a test message, due now."""
    statement = sa.insert(deliveries).values(
        due_at=now(), created_at=now(), **fanout.trial_of(endpoint)
    )
    return _to_delivery(tx.execute(statement.returning(deliveries)).mappings().one())


_TAKEN = JsonRows(receiver=sa.Text, endpoint=sa.Text, taken=sa.Integer)


def claim_due(tx: Connection, *, slots: int, taken: Taken, lease: timedelta) -> list[Delivery]:
    """Claim up to `slots` due deliveries within the shares that are not `taken`, in turns.

    A claim moves their due time on by the lease: if the notifier dies, they are due again then.
    """
    rows = [{"receiver": name, "taken": count} for name, count in taken.receivers.items()]
    rows += [{"endpoint": name, "taken": count} for name, count in taken.endpoints.items()]
    given = {**_TAKEN.bind(tx, rows), "slots": slots}
    statement = _claim_statement(tx.dialect.name, taken.each, taken.most, lease)
    return [_to_delivery(row) for row in tx.execute(statement, given).mappings()]


@cache
def _claim_statement(dialect: str, each: int, most: int, lease: timedelta) -> ReturningUpdate[Any]:
    taken = _TAKEN.table(dialect)
    full = sa.select(taken.c.receiver).where(taken.c.receiver.is_not(None), taken.c.taken >= each)
    over = sa.select(taken.c.endpoint).where(taken.c.endpoint.is_not(None), taken.c.taken >= most)
    row = deliveries.c
    due = (
        OUTBOX.due(row.receiver.not_in(full), row.endpoint_id.not_in(over), limit=_LOOKED_AT)
        .add_columns(row.receiver, row.endpoint_id, row.due_at)
        .cte("due")
    )
    rank = sa.func.row_number()
    turn = rank.over(partition_by=due.c.receiver, order_by=due.c.due_at)
    ranked = sa.select(due.c.id, due.c.receiver, due.c.endpoint_id, turn.label("turn")).subquery()
    of_receiver, of_endpoint = taken.alias(), taken.alias()
    # Turns count what a receiver has under way: one that hangs comes after those that do not.
    turn = ranked.c.turn + sa.func.coalesce(of_receiver.c.taken, 0)
    fitting = (
        sa.select(
            ranked.c.id,
            ranked.c.endpoint_id,
            turn.label("turn"),
            rank.over(partition_by=ranked.c.endpoint_id, order_by=turn).label("place"),
        )
        .outerjoin(of_receiver, of_receiver.c.receiver == ranked.c.receiver)
        .where(turn <= each)
        .subquery()
    )
    chosen = (
        sa.select(fitting.c.id)
        .outerjoin(of_endpoint, of_endpoint.c.endpoint == fitting.c.endpoint_id)
        .where(fitting.c.place + sa.func.coalesce(of_endpoint.c.taken, 0) <= most)
        .order_by(fitting.c.turn)
        .limit(sa.bindparam("slots", type_=sa.Integer))
    )
    return OUTBOX.claim_statement(chosen, lease)


# --- outcomes --------------------------------------------------------------------------------


def record_all(tx: Connection, ended: Sequence[Ended]) -> list[Exception | None]:
    """Record the outcomes of tries, except of deliveries that another notifier has claimed."""
    written = OUTBOX.settle(tx, [_settled(*one) for one in ended])
    tried = [
        (delivery, outcome, outcome.tried)
        for delivery, outcome in ended
        if outcome.tried and delivery.id in written
    ]
    if tried:
        _keep_tries(tx, [(delivery, one) for delivery, _, one in tried])
        endpoint_store.note_health(
            tx, [(one.endpoint_id, outcome) for one, outcome, _ in tried if not one.url]
        )
    return [None] * len(ended)


def _settled(delivery: Delivery, outcome: SendOutcome) -> Settled:
    tried = outcome.tried
    more = {
        "status": tried.status if tried else None,
        "answer": tried.answer.body if tried and tried.answer else "",
    }
    return Settled(delivery.id, delivery.claim_no, outcome.state, outcome.error, outcome.wait, more)


def _keep_tries(tx: Connection, tried: Sequence[tuple[Delivery, Try]]) -> None:
    rows = [
        {
            "delivery_id": delivery.id,
            "number": delivery.claim_no,
            "at": one.at,
            "took_ms": round(one.took.total_seconds() * 1000),
            "status": one.status,
            "error": one.error,
            "request": one.request.document(),
            "answer": one.answer.document() if one.answer else None,
        }
        for delivery, one in tried
    ]
    tx.execute(sa.insert(delivery_tries), rows)
    for delivery, _ in tried:
        if delivery.claim_no > _TRIES_KEPT:
            tx.execute(
                sa.delete(delivery_tries).where(
                    delivery_tries.c.delivery_id == delivery.id,
                    delivery_tries.c.number <= delivery.claim_no - _TRIES_KEPT,
                )
            )


def of_endpoint(
    tx: Connection,
    endpoint_id: str,
    *,
    before: str | None,
    limit: int,
    state: DeliveryState | None = None,
) -> list[Delivery]:
    """Return up to `limit` deliveries to an endpoint older than id `before`, newest first."""
    prefixes = [(endpoint_id, each) for each in ([state] if state else DeliveryState)]
    columns = (deliveries.c.endpoint_id, deliveries.c.state, deliveries.c.id)
    wanted = newest(tx, columns, prefixes, before=before, limit=limit)
    query = sa.select(deliveries).where(among(tx, deliveries.c.id, wanted))
    query = query.order_by(deliveries.c.id.desc())
    return [_to_delivery(row) for row in tx.execute(query).mappings()]


def get(tx: Connection, endpoint_id: str, delivery_id: str) -> Delivery | None:
    """Return a delivery of the endpoint, or None."""
    query = sa.select(deliveries).where(
        deliveries.c.id == delivery_id, deliveries.c.endpoint_id == endpoint_id
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_delivery(row)


def tries_of(tx: Connection, delivery_id: str) -> list[Logged]:
    """Return the logged tries of a delivery, oldest first."""
    columns = [column for column in delivery_tries.c if column.name != "delivery_id"]
    query = (
        sa.select(*columns)
        .where(delivery_tries.c.delivery_id == delivery_id)
        .order_by(delivery_tries.c.number)
    )
    return [from_row(Logged, row) for row in tx.execute(query).mappings()]


# --- redelivery ------------------------------------------------------------------------------


def send_again(tx: Connection, endpoint_id: str, delivery_id: str) -> Delivery | None:
    """Make a delivery due now with a fresh count of tries; None if there is none."""
    statement = (
        _send_again_statement(endpoint_id)
        .where(deliveries.c.id == delivery_id)
        .returning(deliveries)
    )
    row = tx.execute(statement).mappings().one_or_none()
    return None if row is None else _to_delivery(row)


def send_all_again(
    tx: Connection,
    endpoint_id: str,
    states: Collection[DeliveryState],
    *,
    since: datetime,
    limit: int,
) -> tuple[int, datetime | None]:
    """Redeliver up to `limit` deliveries in those states created since then, oldest first.

    Return how many, and the time from which to continue if there are more.
    """
    query = (
        sa.select(deliveries.c.id, deliveries.c.created_at)
        .where(
            deliveries.c.endpoint_id == endpoint_id,
            deliveries.c.state.in_(states),
            deliveries.c.created_at >= since,
        )
        .order_by(deliveries.c.created_at)
        .limit(limit + 1)
    )
    found = tx.execute(query).all()
    chosen = query.with_only_columns(deliveries.c.id).limit(limit)
    count = tx.execute(
        _send_again_statement(endpoint_id).where(deliveries.c.id.in_(chosen))
    ).rowcount
    return count, found[limit].created_at if len(found) > limit else None


def _send_again_statement(endpoint_id: str) -> sa.Update:
    return (
        sa.update(deliveries)
        .where(deliveries.c.endpoint_id == endpoint_id)
        .values(
            state=DeliveryState.PENDING,
            tries=0,
            claim_no=deliveries.c.claim_no + 1,
            due_at=now(),
            finished_at=None,
        )
    )


def _to_delivery(row: RowMapping) -> Delivery:
    return from_row(Delivery, row, state=DeliveryState(row["state"]))

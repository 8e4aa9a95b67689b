"""Rows of webhook endpoints, deliveries, and their tries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.sql.dml import ReturningUpdate

from safelight import events, ids
from safelight.db.given import Given
from safelight.db.tables import DEFAULT, PENDING, deliveries, delivery_tries, endpoints
from safelight.db.types import Instant, now
from safelight.db.upsert import upsert
from safelight.db.walks import among, newest
from safelight.events import Event, NewEvent
from safelight.webhooks import fanout
from safelight.webhooks.delivery import Delivery, DeliveryState, Logged, Outcome, Try
from safelight.webhooks.endpoint import BOTH_VALID, GIVEN_UP_AFTER, DisabledReason, Endpoint
from safelight.webhooks.shares import Taken

_LOOKED_AT = 500  # due deliveries examined per claim
_TRIES_KEPT = 20  # per delivery, including redeliveries
_TOO_LONG_AGO = now(-GIVEN_UP_AFTER)

Ended = tuple[Delivery, Outcome]

# Returns the webhook URL of each job or batch that names one; this package knows neither.
UrlsOf = Callable[[Connection, Collection[str]], Mapping[str, str]]


# --- endpoints -------------------------------------------------------------------------------


def insert_endpoint(tx: Connection, account_id: str, **values: Any) -> Endpoint:
    """Insert an endpoint; it receives events from now on."""
    statement = (
        sa.insert(endpoints)
        .values(id=ids.new("endpoint"), account_id=account_id, created_at=now(), **values)
        .returning(endpoints)
    )
    return _to_endpoint(tx.execute(statement).mappings().one())


def find_default(tx: Connection, account_id: str) -> Endpoint | None:
    """Return the account's default endpoint, or None."""
    query = sa.select(endpoints).where(DEFAULT, endpoints.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_endpoint(row)


def ensure_default(tx: Connection, account_id: str, *, secret: str) -> Endpoint:
    """Return the account's default endpoint, created if missing; safe under concurrency."""
    tx.execute(
        upsert(tx, endpoints)
        .values(
            id=ids.new("endpoint"),
            account_id=account_id,
            url="",
            events=[],
            secret=secret,
            created_at=now(),
        )
        .on_conflict_do_nothing()
    )
    query = sa.select(endpoints).where(DEFAULT, endpoints.c.account_id == account_id)
    return _to_endpoint(tx.execute(query).mappings().one())


def endpoints_of(tx: Connection, account_ids: Collection[str]) -> list[Endpoint]:
    """Return these accounts' endpoints, oldest first."""
    query = (
        sa.select(endpoints)
        .where(endpoints.c.account_id.in_(sorted(account_ids)))
        .order_by(endpoints.c.id)
    )
    return [_to_endpoint(row) for row in tx.execute(query).mappings()]


def get_endpoint(tx: Connection, account_id: str, endpoint_id: str) -> Endpoint | None:
    """Return the account's endpoint, or None."""
    query = sa.select(endpoints).where(
        endpoints.c.id == endpoint_id, endpoints.c.account_id == account_id
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_endpoint(row)


def change_endpoint(tx: Connection, endpoint_id: str, **values: Any) -> None:
    """Set columns of an endpoint."""
    if values:
        tx.execute(sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(**values))


def rotate(tx: Connection, endpoint_id: str, *, secret: str) -> Endpoint:
    """Set a new secret; the old one also signs for a while."""
    statement = (
        sa.update(endpoints)
        .where(endpoints.c.id == endpoint_id)
        .values(secret=secret, old_secret=endpoints.c.secret, old_secret_until=now(BOTH_VALID))
        .returning(endpoints)
    )
    return _to_endpoint(tx.execute(statement).mappings().one())


def delete_endpoint(tx: Connection, account_id: str, endpoint_id: str) -> bool:
    """Delete an endpoint with its deliveries; False if the account has no such endpoint."""
    statement = sa.delete(endpoints).where(
        endpoints.c.id == endpoint_id, endpoints.c.account_id == account_id
    )
    return bool(tx.execute(statement).rowcount)


def enable(tx: Connection, endpoint_id: str) -> None:
    """Enable an endpoint and clear its failures."""
    change_endpoint(tx, endpoint_id, disabled_at=None, disabled_reason="", failing_since=None)


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


# --- making and claiming deliveries ----------------------------------------------------------


def fan_out(tx: Connection, found: Sequence[Event], urls_of: UrlsOf) -> None:
    """Create the deliveries for events; idempotent, one per endpoint and event."""
    listening = endpoints_of(tx, {event.account_id for event in found})
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


_TAKEN = Given(receiver=sa.Text, endpoint=sa.Text, taken=sa.Integer)


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
        sa.select(row.id, row.receiver, row.endpoint_id, row.due_at)
        .where(
            PENDING,
            deliveries.c.due_at <= now(),
            deliveries.c.receiver.not_in(full),
            deliveries.c.endpoint_id.not_in(over),
        )
        .order_by(deliveries.c.due_at)
        .limit(_LOOKED_AT)
        .with_for_update(skip_locked=True)
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
    return (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(chosen))
        .values(
            due_at=now(lease),
            tries=deliveries.c.tries + 1,
            claim_no=deliveries.c.claim_no + 1,
        )
        .returning(deliveries)
    )


# --- outcomes --------------------------------------------------------------------------------


_OUTCOMES = Given(
    id=sa.Text,
    claim_no=sa.Integer,
    state=sa.Text,
    status=sa.Integer,
    error=sa.Text,
    answer=sa.Text,
    due_at=Instant,
    finished_at=Instant,
)


def record_all(tx: Connection, ended: Sequence[Ended]) -> list[Exception | None]:
    """Record the outcomes of tries, except of deliveries that another notifier has claimed."""
    clock = tx.execute(sa.select(now())).scalar_one()
    rows = (_outcome_row(delivery, outcome, clock) for delivery, outcome in ended)
    given = _OUTCOMES.bind(tx, rows)
    written = set(tx.scalars(_record_statement(tx.dialect.name), given))
    tried = [
        (delivery, outcome, outcome.tried)
        for delivery, outcome in ended
        if outcome.tried and delivery.id in written
    ]
    if tried:
        _keep_tries(tx, [(delivery, one) for delivery, _, one in tried])
        _note_health(tx, [(one.endpoint_id, outcome) for one, outcome, _ in tried if not one.url])
    return [None] * len(ended)


def _outcome_row(delivery: Delivery, outcome: Outcome, clock: datetime) -> dict[str, Any]:
    tried = outcome.tried
    return {
        "id": delivery.id,
        "claim_no": delivery.claim_no,
        "state": outcome.state.value,
        "status": tried.status if tried else None,
        "error": outcome.error,
        "answer": tried.answer.body if tried and tried.answer else "",
        "due_at": clock + outcome.wait,
        "finished_at": None if outcome.state is DeliveryState.PENDING else clock,
    }


@cache
def _record_statement(dialect: str) -> ReturningUpdate[Any]:
    given = _OUTCOMES.table(dialect)
    changed = ("state", "status", "error", "answer", "due_at", "finished_at")
    return (
        sa.update(deliveries)
        .where(
            deliveries.c.id == given.c.id,
            deliveries.c.claim_no == given.c.claim_no,
            deliveries.c.state == DeliveryState.PENDING,
        )
        .values({name: given.c[name] for name in changed})
        .returning(deliveries.c.id)
    )


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


def _note_health(tx: Connection, ended: Sequence[tuple[str, Outcome]]) -> None:
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
    found: list[Logged] = []
    for row in tx.execute(query).mappings():
        fields: dict[str, Any] = {**row}
        found.append(Logged(**fields))
    return found


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


def forget(tx: Connection, *, kept: timedelta, limit: int) -> int:
    """Remove up to `limit` deliveries that ended longer than `kept` ago, the oldest first."""
    old = (
        sa.select(deliveries.c.id)
        .where(deliveries.c.finished_at < now(-kept))
        .order_by(deliveries.c.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = sa.delete(deliveries).where(among(tx, deliveries.c.id, tx.scalars(old).all()))
    return tx.execute(statement).rowcount


def _to_endpoint(row: RowMapping) -> Endpoint:
    fields: dict[str, Any] = {**row}
    return Endpoint(**fields)


def _to_delivery(row: RowMapping) -> Delivery:
    fields: dict[str, Any] = {**row}
    fields["state"] = DeliveryState(row["state"])
    return Delivery(**fields)

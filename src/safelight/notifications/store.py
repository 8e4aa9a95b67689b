"""Rows of contacts and of their notices."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight import ids
from safelight.db.outbox import Outbox, Settled
from safelight.db.rows import from_row
from safelight.db.sealed import closed, opened
from safelight.db.tables import HEARING, PENDING, contacts, notices
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.db.walks import among, newest
from safelight.events import Event
from safelight.notifications import fanout
from safelight.notifications.contact import CODE_LASTS, DIGEST, ENDED, Channel, Contact
from safelight.notifications.notice import NewNotice, Notice
from safelight.webhooks.delivery import DeliveryState, SendOutcome

OUTBOX = Outbox(notices)

_DIGESTS_AT_ONCE = 100
_HOUR = timedelta(hours=1)

# Returns the contacts to notify for each job or batch that names any.
NamedBy = Callable[[Connection, Collection[str]], Mapping[str, Sequence[str]]]

# Returns whether any job of an account ended between two times.
EndedBetween = Callable[[Connection, str, datetime, datetime], bool]


# --- contacts --------------------------------------------------------------------------------


def insert(tx: Connection, account_id: str, **values: Any) -> Contact:
    """Insert a contact; return the existing one if the account has that address already."""
    contact_id = ids.new("contact")
    statement = (
        upsert(tx, contacts)
        .values(
            id=contact_id,
            account_id=account_id,
            created_at=now(),
            **closed(tx, contacts, contact_id, {"token": ids.secret(), **values}),
        )
        .on_conflict_do_nothing()
    )
    tx.execute(statement)
    query = sa.select(contacts).where(
        contacts.c.account_id == account_id,
        contacts.c.channel == values["channel"],
        contacts.c.address == values["address"],
    )
    return _to_contact(tx, tx.execute(query).mappings().one())


def all_of(tx: Connection, account_id: str) -> list[Contact]:
    """Return an account's contacts, oldest first."""
    query = sa.select(contacts).where(contacts.c.account_id == account_id).order_by(contacts.c.id)
    return [_to_contact(tx, row) for row in tx.execute(query).mappings()]


def get(tx: Connection, account_id: str, contact_id: str) -> Contact | None:
    """Return the account's contact, or None."""
    return _only(tx, contacts.c.id == contact_id, contacts.c.account_id == account_id)


def of_id(tx: Connection, contact_id: str) -> Contact | None:
    """Return a contact of any account; the caller must check a secret, or be its sender."""
    return _only(tx, contacts.c.id == contact_id)


def hearing(tx: Connection, account_ids: Collection[str]) -> list[Contact]:
    """Return the accounts' confirmed contacts that have not unsubscribed, oldest first."""
    query = (
        sa.select(contacts)
        .where(HEARING, contacts.c.account_id.in_(sorted(account_ids)))
        .order_by(contacts.c.id)
    )
    return [_to_contact(tx, row) for row in tx.execute(query).mappings()]


def change(tx: Connection, contact_id: str, values: Mapping[str, Any]) -> Contact:
    """Set columns of an existing contact."""
    statement = (
        sa.update(contacts)
        .where(contacts.c.id == contact_id)
        .values(**closed(tx, contacts, contact_id, values))
        .returning(contacts)
    )
    return _to_contact(tx, tx.execute(statement).mappings().one())


def give_code(tx: Connection, contact_id: str, code: str) -> Contact:
    """Set a contact's confirmation code, which replaces earlier ones and expires."""
    values = {
        "code": code,
        "code_until": now(CODE_LASTS),
        "codes": contacts.c.codes + 1,
        "guesses": 0,
    }
    return change(tx, contact_id, values)


def confirm(tx: Connection, contact_id: str) -> Contact:
    """Mark a contact as confirmed; its next digest covers a whole day."""
    clock = tx.execute(sa.select(now())).scalar_one()
    values = {
        "confirmed_at": clock,
        "stopped_at": None,
        "stopped_reason": "",
        "code": "",
        "code_until": None,
        "codes": 0,
        "digested_on": clock.date().isoformat(),
    }
    return change(tx, contact_id, values)


def stop(tx: Connection, contact_ids: Collection[str], reason: str) -> None:
    """Unsubscribe contacts, until they confirm again."""
    statement = sa.update(contacts).where(
        contacts.c.id.in_(contact_ids), contacts.c.stopped_at.is_(None)
    )
    tx.execute(statement.values(stopped_at=now(), stopped_reason=reason))


def delete(tx: Connection, contact_id: str) -> None:
    """Delete a contact with its notices."""
    tx.execute(sa.delete(contacts).where(contacts.c.id == contact_id))


# --- notices ---------------------------------------------------------------------------------


def remove(tx: Connection, account_id: str, *, limit: int) -> int:
    """Remove up to `limit` contacts of a deleted account, with their notices."""
    mine = sa.select(contacts.c.id).where(contacts.c.account_id == account_id).limit(limit)
    gone = sa.delete(contacts).where(contacts.c.id.in_(tx.scalars(mine).all()))
    return tx.execute(gone).rowcount


def fan_out(tx: Connection, found: Sequence[Event], named_by: NamedBy) -> None:
    """Create the notices for events; idempotent, one per contact and event."""
    told = hearing(tx, {event.account_id for event in found})
    if told:
        ended = [event.subject for event in found if event.type in ENDED]
        named: Mapping[str, Sequence[str]] = named_by(tx, ended) if ended else {}
        rows = fanout.notices_of(found, told, named)
        wanted = {row["contact_id"] for row in rows}
        clock: datetime = tx.execute(sa.select(now())).scalar_one()
        single, gathered = fanout.gather(
            rows, told, _told_lately(tx, wanted), _gathering(tx, wanted), clock
        )
        add(tx, single)
        add(tx, gathered)


def _told_lately(tx: Connection, contact_ids: Collection[str]) -> dict[str, int]:
    """Return how many notices each contact got in the last hour."""
    query = (
        sa.select(notices.c.contact_id, sa.func.count().label("told"))
        .where(notices.c.contact_id.in_(contact_ids), notices.c.created_at > now(-_HOUR))
        .group_by(notices.c.contact_id)
    )
    return {row.contact_id: row.told for row in tx.execute(query)}


def _gathering(tx: Connection, contact_ids: Collection[str]) -> set[str]:
    """Return the contacts with a pending gathered notice."""
    query = sa.select(notices.c.contact_id).where(
        notices.c.contact_id.in_(contact_ids), PENDING, notices.c.event_id.like("gathered:%")
    )
    return set(tx.scalars(query))


def add(tx: Connection, rows: Sequence[NewNotice]) -> None:
    """Insert notices, due now unless they have a `due_at`; skip existing ones."""
    if rows:
        times = {"created_at": now()} | ({} if "due_at" in rows[0] else {"due_at": now()})
        statement = upsert(tx, notices).values(**times)
        tx.execute(statement.on_conflict_do_nothing(), [dict(row) for row in rows])


def add_digests(tx: Connection, *, hour: int, ended_between: EndedBetween) -> None:
    """Create missing digests of the day that ended at that hour, UTC."""
    clock: datetime = tx.execute(sa.select(now())).scalar_one()
    until = clock.replace(hour=hour, minute=0, second=0, microsecond=0)
    if until > clock:
        until -= timedelta(days=1)
    since, day = until - timedelta(days=1), until.date().isoformat()
    query = (
        sa.select(contacts)
        .where(HEARING, contacts.c.digest, contacts.c.digested_on < day)
        .limit(_DIGESTS_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    found = [_to_contact(tx, row) for row in tx.execute(query).mappings()]
    if not found:
        return
    data = {"since": since.isoformat(), "until": until.isoformat()}
    add(
        tx,
        [
            fanout.own_row(contact, DIGEST, data, event_id=f"digest:{day}")
            for contact in found
            if ended_between(tx, contact.account_id, since, until)
        ],
    )
    had = sa.update(contacts).where(contacts.c.id.in_([contact.id for contact in found]))
    tx.execute(had.values(digested_on=day))


def claim_due(tx: Connection, *, slots: int, lease: timedelta) -> list[Notice]:
    """Claim up to `slots` due notices; if the sender dies, they are due again after the lease."""
    statement = OUTBOX.claim_statement(OUTBOX.due(limit=slots), lease)
    return [_to_notice(row) for row in tx.execute(statement).mappings()]


def record(tx: Connection, notice: Notice, outcome: SendOutcome) -> None:
    """Record the outcome of a try, unless another sender has claimed the notice meanwhile."""
    settled = Settled(notice.id, notice.claim_no, outcome.state, outcome.error, outcome.wait)
    if OUTBOX.settle(tx, [settled]) and outcome.gone:
        stop(tx, [notice.contact_id], outcome.error)


def of_contact(tx: Connection, contact_id: str, *, before: str | None, limit: int) -> list[Notice]:
    """Return up to `limit` notices to a contact older than id `before`, newest first."""
    columns = (notices.c.contact_id, notices.c.id)
    wanted = newest(tx, columns, [(contact_id,)], before=before, limit=limit)
    query = sa.select(notices).where(among(tx, notices.c.id, wanted))
    query = query.order_by(notices.c.id.desc())
    return [_to_notice(row) for row in tx.execute(query).mappings()]


def _only(tx: Connection, *match: sa.ColumnElement[bool]) -> Contact | None:
    row = tx.execute(sa.select(contacts).where(*match)).mappings().one_or_none()
    return None if row is None else _to_contact(tx, row)


def _to_contact(tx: Connection, row: RowMapping) -> Contact:
    return from_row(Contact, opened(tx, contacts, row), channel=Channel(row["channel"]))


def _to_notice(row: RowMapping) -> Notice:
    return from_row(Notice, row, state=DeliveryState(row["state"]))

"""Decides which contacts are notified of which events. Pure rules."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from safelight import ids
from safelight.events import Event
from safelight.notifications.contact import ENDED, GATHERED, MOST_SINGLE, Channel, Contact, names
from safelight.notifications.notice import NewNotice
from safelight.webhooks.delivery import DeliveryState

_LAG = timedelta(seconds=1)


def notices_of(
    found: Iterable[Event], contacts: Iterable[Contact], named: Mapping[str, Sequence[str]]
) -> list[NewNotice]:
    """Return the notice rows for these events and contacts.

    `named` maps jobs and batches to the contacts they name for their end. For all others, the
    contacts' own subscriptions decide.
    """
    of_account: dict[str, list[Contact]] = {}
    for contact in contacts:
        of_account.setdefault(contact.account_id, []).append(contact)
    return [
        notice_row(contact, event.id, event.document() | {"created_at": _text(event.created_at)})
        for event in found
        for contact in of_account.get(event.account_id, ())
        if _is_told(contact, event, named)
    ]


def gather(
    rows: Iterable[NewNotice],
    contacts: Iterable[Contact],
    told: Mapping[str, int],
    gathering: Collection[str],
    clock: datetime,
) -> tuple[list[NewNotice], list[NewNotice]]:
    """Return the rows to send singly, and rows that gather the others at the end of the hour.

    `told` counts each contact's notices in the last hour, and `gathering` are the contacts with a
    pending gathered notice, both by id. Topics are for machines, so they have no rate limit.
    """
    people = {each.id: each for each in contacts if each.channel is not Channel.SNS}
    until = clock.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    counts = dict(told)
    single: list[NewNotice] = []
    gathered: dict[str, NewNotice] = {}
    for row in rows:
        name = row["contact_id"]
        counts[name] = counts.get(name, 0) + 1
        is_of_end = name in people and row["event"]["type"] in ENDED
        if not is_of_end or (name not in gathering and counts[name] <= MOST_SINGLE):
            single.append(row)
        elif name not in gathered:
            # The event is slightly newer than the job's or batch's end.
            since = datetime.fromisoformat(row["event"]["created_at"]) - _LAG
            data = {"since": _text(since), "until": _text(until)}
            event_id = f"gathered:{until:%Y-%m-%dT%H}"
            gathered[name] = own_row(people[name], GATHERED, data, event_id=event_id)
            gathered[name]["due_at"] = until
    return single, list(gathered.values())


def notice_row(contact: Contact, event_id: str, event: Mapping[str, Any]) -> NewNotice:
    """Return a pending row of `notices`."""
    return {
        "id": ids.new("notice"),
        "contact_id": contact.id,
        "event_id": event_id,
        "event": event,
        "state": DeliveryState.PENDING,
    }


def own_row(
    contact: Contact, kind: str, data: Mapping[str, Any], *, event_id: str = ""
) -> NewNotice:
    """Return a notice row for an event about the contact itself."""
    event_id = event_id or ids.new("event")
    event = {
        "id": event_id,
        "type": kind,
        "seq": 1,
        "account_id": contact.account_id,
        "subject": contact.id,
        "data": data,
        "created_at": _text(datetime.now(UTC)),
    }
    return notice_row(contact, event_id, event)


def _is_told(contact: Contact, event: Event, named: Mapping[str, Sequence[str]]) -> bool:
    if contact.channel is not Channel.SNS and event.batch_id and event.subject != event.batch_id:
        return False  # people are notified of the batch as a whole
    if event.type in ENDED and event.subject in named:
        return names(contact, named[event.subject])
    return contact.wants(event.type)


def _text(time: datetime) -> str:
    return time.isoformat()

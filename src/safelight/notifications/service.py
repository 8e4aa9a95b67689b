"""What an account does with its contacts, and what they do for themselves by a secret."""

import hmac
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import InvalidRequest, NotFound, WrongState
from safelight.notifications import contact as rules
from safelight.notifications import fanout, store
from safelight.notifications.contact import CONFIRM, TEST, Channel, Contact
from safelight.notifications.notice import Notice

_UNKNOWN = "There is no such contact."


class Contacts:
    """Everything the API does with contacts. `channels` are those that messages can be sent by."""

    def __init__(
        self, database: Database, channels: Collection[Channel], topics: Sequence[str]
    ) -> None:
        self._db = database
        self._channels = channels
        self._topics = topics

    async def create(
        self,
        account_id: str,
        channel: Channel,
        address: str,
        *,
        wanted: Sequence[str] | None,
        digest: bool,
    ) -> Contact:
        """Return a contact, which is told nothing before it is confirmed, but for a topic.

        Where there is one of that address, it is that one, as it is.
        """
        if channel not in self._channels:
            detail = f"This installation sends nothing by {channel.value}."
            raise InvalidRequest(detail, errors=[{"field": "channel", "message": detail}])
        try:
            address = rules.checked_address(channel, address, self._topics)
        except ValueError as error:
            raise InvalidRequest(errors=[{"field": "address", "message": str(error)}]) from None
        events = list(rules.USUAL_EVENTS[channel] if wanted is None else wanted)
        _check_events(channel, events)
        values = {"channel": channel, "address": address, "events": events, "digest": digest}

        def write(tx: Connection) -> Contact:
            have = store.all_of(tx, account_id)
            for each in have:
                if (each.channel, each.address) == (channel, address):
                    return each
            if len(have) >= rules.MOST_CONTACTS:
                raise WrongState(f"An account has at most {rules.MOST_CONTACTS} contacts.")
            made = store.insert(tx, account_id, **values)
            if channel is Channel.SNS:
                return store.confirm(tx, made.id)
            return _send_code(tx, made)

        return await self._db.write(write)

    async def all_of(self, account_id: str) -> list[Contact]:
        """Return an account's contacts, oldest first."""
        return await self._db.read(lambda tx: store.all_of(tx, account_id))

    async def get(self, account_id: str, contact_id: str) -> Contact:
        """Return the account's contact; raise `NotFound`."""
        return await self._db.read(lambda tx: _existing(tx, account_id, contact_id))

    async def change(self, account_id: str, contact_id: str, values: Mapping[str, Any]) -> Contact:
        """Change of what a contact is told, and whether once a day."""

        def write(tx: Connection) -> Contact:
            found = _existing(tx, account_id, contact_id)
            _check_events(found.channel, values.get("events", found.events))
            return store.change(tx, contact_id, values) if values else found

        return await self._db.write(write)

    async def delete(self, account_id: str, contact_id: str) -> None:
        """Forget a contact."""

        def write(tx: Connection) -> None:
            _existing(tx, account_id, contact_id)
            store.delete(tx, contact_id)

        await self._db.write(write)

    async def send_code(self, account_id: str, contact_id: str) -> Contact:
        """Ask a contact once more whether it wants to be told, or again after it stopped."""

        def write(tx: Connection) -> Contact:
            found = _existing(tx, account_id, contact_id)
            if found.confirmed_at and not found.stopped_at:
                raise WrongState("This contact is confirmed.")
            if found.codes >= rules.MOST_CODES:
                raise WrongState("Too many codes were sent; delete the contact and add it anew.")
            return _send_code(tx, found)

        return await self._db.write(write)

    async def confirm(self, account_id: str, contact_id: str, code: str) -> Contact:
        """Take the code that was sent; raise `InvalidRequest` for another."""

        def write(tx: Connection) -> Contact | None:
            found = _existing(tx, account_id, contact_id)
            if _proves(found, code) and found.guesses < rules.MOST_GUESSES:
                return store.confirm(tx, contact_id)
            store.change(tx, contact_id, {"guesses": found.guesses + 1})
            return None

        confirmed = await self._db.write(write)
        if confirmed is None:
            message = "this is not the code that was sent last, or it is too old"
            raise InvalidRequest(errors=[{"field": "code", "message": message}])
        return confirmed

    async def test(self, account_id: str, contact_id: str) -> None:
        """Send a message that says nothing."""

        def write(tx: Connection) -> None:
            found = _existing(tx, account_id, contact_id)
            if found.confirmed_at is None or found.stopped_at is not None:
                raise WrongState("Confirm the contact first.")
            store.add(tx, [fanout.own_row(found, TEST, {})])

        await self._db.write(write)

    async def notices(
        self, account_id: str, contact_id: str, *, before: str | None, limit: int
    ) -> list[Notice]:
        """Return what was sent to a contact, newest first."""

        def read(tx: Connection) -> list[Notice]:
            _existing(tx, account_id, contact_id)
            return store.of_contact(tx, contact_id, before=before, limit=limit)

        return await self._db.read(read)

    async def check_named(self, account_id: str, named: Sequence[str]) -> None:
        """Raise `InvalidRequest` where a job names what is no contact of its account."""
        have = await self.all_of(account_id)
        for name in named:
            if not any(rules.names(contact, [name]) for contact in have):
                message = f"{name!r} is no contact of this account"
                raise InvalidRequest(errors=[{"field": "notify", "message": message}])

    # --- by who is told, with no other credentials than a secret that they were sent ------------

    async def confirm_by_link(self, contact_id: str, code: str) -> Contact:
        """Take the code of a mail's link; raise `NotFound`."""

        def write(tx: Connection) -> Contact:
            found = _proven(store.of_id(tx, contact_id), code)
            return store.confirm(tx, found.id)

        return await self._db.write(write)

    async def look_by_link(self, contact_id: str, code: str) -> Contact:
        """Return the contact that may be confirmed by such a link; raise `NotFound`."""
        return await self._db.read(lambda tx: _proven(store.of_id(tx, contact_id), code))

    async def stop_by_link(self, contact_id: str, token: str) -> None:
        """Tell whoever was sent that token nothing more; raise `NotFound`."""

        def write(tx: Connection) -> None:
            found = _owned(store.of_id(tx, contact_id), token)
            store.stop(tx, [found.id], "unsubscribed")

        await self._db.write(write)

    async def look_to_stop(self, contact_id: str, token: str) -> Contact:
        """Return the contact that such a token is of; raise `NotFound`."""
        return await self._db.read(lambda tx: _owned(store.of_id(tx, contact_id), token))


def _send_code(tx: Connection, contact: Contact) -> Contact:
    asked = store.give_code(tx, contact.id, rules.new_code(contact.channel))
    store.add(tx, [fanout.own_row(asked, CONFIRM, {})])
    return asked


def _check_events(channel: Channel, patterns: Sequence[str]) -> None:
    if unknown := rules.unknown_events(channel, patterns):
        message = f"nobody is told of {unknown[0]!r} by {channel.value}"
        raise InvalidRequest(errors=[{"field": "events", "message": message}])


def _existing(tx: Connection, account_id: str, contact_id: str) -> Contact:
    found = store.get(tx, account_id, contact_id)
    if found is None:
        raise NotFound(_UNKNOWN)
    return found


def _proves(contact: Contact, code: str) -> bool:
    until = contact.code_until
    is_valid = bool(contact.code) and until is not None and datetime.now(UTC) < until
    return is_valid and _same(code, contact.code)


def _proven(contact: Contact | None, code: str) -> Contact:
    # Digits can be guessed, so that they are taken from the account alone.
    if contact is None or contact.channel is not Channel.EMAIL or not _proves(contact, code):
        raise NotFound("This link is no longer valid.")
    return contact


def _owned(contact: Contact | None, token: str) -> Contact:
    if contact is None or not _same(token, contact.token):
        raise NotFound("This link is no longer valid.")
    return contact


def _same(given: str, real: str) -> bool:
    return hmac.compare_digest(given.encode(), real.encode())

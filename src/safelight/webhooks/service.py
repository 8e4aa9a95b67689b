"""What an account does with its webhook endpoints: make, look, change, remove, send again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from safelight import events
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import InvalidRequest, NotFound
from safelight.webhooks import endpoint as rules
from safelight.webhooks import store
from safelight.webhooks.delivery import Delivery, DeliveryState, Logged
from safelight.webhooks.endpoint import DisabledReason, Endpoint
from safelight.webhooks.errors import EndpointDisabled

_MOST_ENDPOINTS = 20  # an account
_MOST_SENT_AGAIN = 10_000  # a call


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery and how its tries went, oldest first."""

    delivery: Delivery
    tries: Sequence[Logged]


class Webhooks:
    """The endpoints of every account; each call names the account that asks."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self, account_id: str, *, url: str, wanted: Sequence[str], thin: bool = False
    ) -> Endpoint:
        """Make an endpoint with a new secret; its address has been checked by the caller."""
        _check_patterns(wanted)

        def write(tx: Connection) -> Endpoint:
            own = [one for one in store.endpoints_of(tx, [account_id]) if not one.is_default]
            if len(own) >= _MOST_ENDPOINTS:
                raise InvalidRequest(f"An account has at most {_MOST_ENDPOINTS} endpoints.")
            secret = rules.new_secret()
            return store.insert_endpoint(
                tx, account_id, url=url, events=list(wanted), thin=thin, secret=secret
            )

        return await self._db.write(write)

    async def all_of(self, account_id: str) -> list[Endpoint]:
        """Return the account's endpoints, oldest first."""
        return await self._db.read(lambda tx: store.endpoints_of(tx, [account_id]))

    async def get(self, account_id: str, endpoint_id: str) -> Endpoint:
        """Raise `NotFound` for an endpoint that is not the account's."""
        return await self._db.read(lambda tx: _existing(tx, account_id, endpoint_id))

    async def default(self, account_id: str) -> Endpoint:
        """Return the endpoint for addresses that jobs and batches name, made when first needed."""
        found = await self._db.read(lambda tx: store.find_default(tx, account_id))
        if found is not None:
            return found
        secret = rules.new_secret()
        return await self._db.write(lambda tx: store.ensure_default(tx, account_id, secret=secret))

    async def change(
        self,
        account_id: str,
        endpoint_id: str,
        values: Mapping[str, Any],
        *,
        disabled: bool | None = None,
    ) -> Endpoint:
        """Set `url`, `events` or `thin`; enable or disable where asked to.

        What is on its way to an endpoint that is disabled has failed.
        """
        _check_patterns(values.get("events", ()))

        def write(tx: Connection) -> Endpoint:
            _changeable(tx, account_id, endpoint_id)
            store.change_endpoint(tx, endpoint_id, **values)
            if disabled is not None:
                _switch(tx, endpoint_id, disabled=disabled)
            return _existing(tx, account_id, endpoint_id)

        return await self._db.write(write)

    async def rotate(self, account_id: str, endpoint_id: str) -> Endpoint:
        """Give an endpoint a new secret; for a day messages are signed with both."""

        def write(tx: Connection) -> Endpoint:
            _existing(tx, account_id, endpoint_id)
            return store.rotate(tx, endpoint_id, secret=rules.new_secret())

        return await self._db.write(write)

    async def delete(self, account_id: str, endpoint_id: str) -> None:
        """Remove an endpoint and its deliveries."""

        def write(tx: Connection) -> None:
            _changeable(tx, account_id, endpoint_id)
            store.delete_endpoint(tx, account_id, endpoint_id)

        await self._db.write(write)

    async def deliveries(
        self,
        account_id: str,
        endpoint_id: str,
        *,
        before: str | None,
        limit: int,
        state: DeliveryState | None = None,
    ) -> list[Delivery]:
        """Return what was sent to an endpoint, newest first."""

        def read(tx: Connection) -> list[Delivery]:
            _existing(tx, account_id, endpoint_id)
            return store.of_endpoint(tx, endpoint_id, before=before, limit=limit, state=state)

        return await self._db.read(read)

    async def delivery(self, account_id: str, endpoint_id: str, delivery_id: str) -> DeliveryView:
        """Return one delivery with all its tries."""

        def read(tx: Connection) -> DeliveryView:
            _existing(tx, account_id, endpoint_id)
            found = _found(store.get(tx, endpoint_id, delivery_id))
            return DeliveryView(found, store.tries_of(tx, delivery_id))

        return await self._db.read(read)

    async def test(self, account_id: str, endpoint_id: str) -> Delivery:
        """Send a message that says nothing, at once."""

        def write(tx: Connection) -> Delivery:
            _changeable(tx, account_id, endpoint_id)
            return store.insert_trial(tx, _open(tx, account_id, endpoint_id))

        return await self._db.write(write)

    async def redeliver(self, account_id: str, endpoint_id: str, delivery_id: str) -> Delivery:
        """Send a message again, under the same id."""

        def write(tx: Connection) -> Delivery:
            _open(tx, account_id, endpoint_id)
            return _found(store.send_again(tx, endpoint_id, delivery_id))

        return await self._db.write(write)

    async def redeliver_since(
        self, account_id: str, endpoint_id: str, since: datetime, *, delivered_too: bool = False
    ) -> tuple[int, datetime | None]:
        """Send all messages again that were made since then and failed, or arrived as well.

        Return how many, and of very many since when there are more.
        """
        states = [DeliveryState.FAILED, *([DeliveryState.DELIVERED] if delivered_too else [])]

        def write(tx: Connection) -> tuple[int, datetime | None]:
            _open(tx, account_id, endpoint_id)
            return store.send_all_again(
                tx, endpoint_id, states, since=since, limit=_MOST_SENT_AGAIN
            )

        return await self._db.write(write)


def _check_patterns(wanted: Sequence[str]) -> None:
    if unknown := rules.unknown_patterns(wanted, events.TYPES):
        raise InvalidRequest(
            errors=[{"field": "events", "message": f"no event is called {unknown[0]!r}"}]
        )


def _existing(tx: Connection, account_id: str, endpoint_id: str) -> Endpoint:
    found = store.get_endpoint(tx, account_id, endpoint_id)
    if found is None:
        raise NotFound("There is no such webhook endpoint.")
    return found


def _changeable(tx: Connection, account_id: str, endpoint_id: str) -> None:
    if _existing(tx, account_id, endpoint_id).is_default:
        raise InvalidRequest("This endpoint stands for the addresses that jobs name, and stays.")


def _open(tx: Connection, account_id: str, endpoint_id: str) -> Endpoint:
    found = _existing(tx, account_id, endpoint_id)
    if found.disabled_at is not None:
        raise EndpointDisabled("Enable the endpoint first.")
    return found


def _found(delivery: Delivery | None) -> Delivery:
    if delivery is None:
        raise NotFound("There is no such delivery.")
    return delivery


def _switch(tx: Connection, endpoint_id: str, *, disabled: bool) -> None:
    if disabled:
        store.disable(tx, endpoint_id, DisabledReason.ASKED)
    else:
        store.enable(tx, endpoint_id)

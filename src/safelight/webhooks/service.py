"""Operations on webhook endpoints: create, read, change, delete, test, redeliver."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from safelight import events
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import InvalidRequest, NotFound
from safelight.webhooks import endpoint as rules
from safelight.webhooks import endpoint_store, store
from safelight.webhooks.delivery import Delivery, DeliveryState, Logged
from safelight.webhooks.endpoint import DisabledReason, Endpoint
from safelight.webhooks.errors import EndpointDisabled

_MOST_ENDPOINTS = 20  # per account
_MOST_SENT_AGAIN = 10_000  # per call


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery with its tries, oldest first."""

    delivery: Delivery
    tries: Sequence[Logged]


class Webhooks:
    """Webhook endpoints; every call names the requesting account."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self, account_id: str, *, url: str, wanted: Sequence[str], thin: bool = False
    ) -> Endpoint:
        """Create an endpoint with a new secret; the caller has checked its URL."""
        _check_patterns(wanted)

        def write(tx: Connection) -> Endpoint:
            own = [
                one for one in endpoint_store.of_accounts(tx, [account_id]) if not one.is_default
            ]
            if len(own) >= _MOST_ENDPOINTS:
                raise InvalidRequest(f"An account has at most {_MOST_ENDPOINTS} endpoints.")
            secret = rules.new_secret()
            return endpoint_store.insert(
                tx, account_id, url=url, events=list(wanted), thin=thin, secret=secret
            )

        return await self._db.write(write)

    async def all_of(self, account_id: str) -> list[Endpoint]:
        """Return the account's endpoints, oldest first."""
        return await self._db.read(lambda tx: endpoint_store.of_accounts(tx, [account_id]))

    async def get(self, account_id: str, endpoint_id: str) -> Endpoint:
        """Return the account's endpoint; raise `NotFound`."""
        return await self._db.read(lambda tx: _existing(tx, account_id, endpoint_id))

    async def default(self, account_id: str) -> Endpoint:
        """Return the endpoint for URLs named by jobs and batches, created on first use."""
        found = await self._db.read(lambda tx: endpoint_store.find_default(tx, account_id))
        if found is not None:
            return found
        secret = rules.new_secret()
        return await self._db.write(
            lambda tx: endpoint_store.ensure_default(tx, account_id, secret=secret)
        )

    async def change(
        self,
        account_id: str,
        endpoint_id: str,
        values: Mapping[str, Any],
        *,
        disabled: bool | None = None,
    ) -> Endpoint:
        """Set `url`, `events` or `thin`; enable or disable if requested.

        Disabling fails the endpoint's pending deliveries.
        """
        _check_patterns(values.get("events", ()))

        def write(tx: Connection) -> Endpoint:
            _changeable(tx, account_id, endpoint_id)
            endpoint_store.change(tx, endpoint_id, **values)
            if disabled is not None:
                _switch(tx, endpoint_id, disabled=disabled)
            return _existing(tx, account_id, endpoint_id)

        return await self._db.write(write)

    async def rotate(self, account_id: str, endpoint_id: str) -> Endpoint:
        """Rotate an endpoint's secret; for a day, messages are signed with both."""

        def write(tx: Connection) -> Endpoint:
            _existing(tx, account_id, endpoint_id)
            return endpoint_store.rotate(tx, endpoint_id, secret=rules.new_secret())

        return await self._db.write(write)

    async def delete(self, account_id: str, endpoint_id: str) -> None:
        """Delete an endpoint and its deliveries."""

        def write(tx: Connection) -> None:
            _changeable(tx, account_id, endpoint_id)
            endpoint_store.delete(tx, account_id, endpoint_id)

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
        """Return an endpoint's deliveries, newest first."""

        def read(tx: Connection) -> list[Delivery]:
            _existing(tx, account_id, endpoint_id)
            return store.of_endpoint(tx, endpoint_id, before=before, limit=limit, state=state)

        return await self._db.read(read)

    async def delivery(self, account_id: str, endpoint_id: str, delivery_id: str) -> DeliveryView:
        """Return a delivery with its logged tries."""

        def read(tx: Connection) -> DeliveryView:
            _existing(tx, account_id, endpoint_id)
            found = _found(store.get(tx, endpoint_id, delivery_id))
            return DeliveryView(found, store.tries_of(tx, delivery_id))

        return await self._db.read(read)

    async def test(self, account_id: str, endpoint_id: str) -> Delivery:
        """Send a test message at once."""

        def write(tx: Connection) -> Delivery:
            _changeable(tx, account_id, endpoint_id)
            return store.insert_trial(tx, _open(tx, account_id, endpoint_id))

        return await self._db.write(write)

    async def redeliver(self, account_id: str, endpoint_id: str, delivery_id: str) -> Delivery:
        """Redeliver a message, with the same id."""

        def write(tx: Connection) -> Delivery:
            _open(tx, account_id, endpoint_id)
            return _found(store.send_again(tx, endpoint_id, delivery_id))

        return await self._db.write(write)

    async def redeliver_since(
        self, account_id: str, endpoint_id: str, since: datetime, *, delivered_too: bool = False
    ) -> tuple[int, datetime | None]:
        """Redeliver messages created since then that failed, or also those delivered.

        Return how many, and if the limit was reached, the time from which to continue.
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
            errors=[{"field": "events", "message": f"there is no event {unknown[0]!r}"}]
        )


def _existing(tx: Connection, account_id: str, endpoint_id: str) -> Endpoint:
    found = endpoint_store.get(tx, account_id, endpoint_id)
    if found is None:
        raise NotFound("There is no such webhook endpoint.")
    return found


def _changeable(tx: Connection, account_id: str, endpoint_id: str) -> None:
    if _existing(tx, account_id, endpoint_id).is_default:
        raise InvalidRequest("The default endpoint serves webhook URLs named by jobs; it is fixed.")


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
        endpoint_store.disable(tx, endpoint_id, DisabledReason.ASKED)
    else:
        endpoint_store.enable(tx, endpoint_id)

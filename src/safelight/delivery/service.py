"""What an account does with its webhook endpoints: make, look, remove, send again."""

from collections.abc import Sequence

from sqlalchemy import Connection

from safelight import events
from safelight.db.engine import Database
from safelight.delivery import endpoint as rules
from safelight.delivery import store
from safelight.delivery.endpoint import Delivery, Endpoint
from safelight.errors import InvalidRequest, NotFound

_MOST_ENDPOINTS = 20  # an account


class Webhooks:
    """The endpoints of every account; each call names the account that asks."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, account_id: str, *, url: str, wanted: Sequence[str]) -> Endpoint:
        """Make an endpoint with a new secret; its address has been checked by the caller."""
        if unknown := rules.unknown_patterns(wanted, events.TYPES):
            raise InvalidRequest(
                errors=[{"field": "events", "message": f"no event is called {unknown[0]!r}"}]
            )

        def write(tx: Connection) -> Endpoint:
            if len(store.endpoints_of(tx, [account_id])) >= _MOST_ENDPOINTS:
                raise InvalidRequest(f"An account has at most {_MOST_ENDPOINTS} endpoints.")
            return store.insert_endpoint(
                tx, account_id, url=url, wanted=wanted, secret=rules.new_secret()
            )

        return await self._db.write(write)

    async def all_of(self, account_id: str) -> list[Endpoint]:
        """Return the account's endpoints, oldest first."""
        return await self._db.read(lambda tx: store.endpoints_of(tx, [account_id]))

    async def get(self, account_id: str, endpoint_id: str) -> Endpoint:
        """Raise `NotFound` for an endpoint that is not the account's."""
        return await self._db.read(lambda tx: _existing(tx, account_id, endpoint_id))

    async def delete(self, account_id: str, endpoint_id: str) -> None:
        """Remove an endpoint and its deliveries."""
        if not await self._db.write(lambda tx: store.delete_endpoint(tx, account_id, endpoint_id)):
            raise NotFound("There is no such webhook endpoint.")

    async def deliveries(
        self, account_id: str, endpoint_id: str, *, before: str | None, limit: int
    ) -> list[Delivery]:
        """Return what was sent to an endpoint, newest first."""

        def read(tx: Connection) -> list[Delivery]:
            _existing(tx, account_id, endpoint_id)
            return store.of_endpoint(tx, endpoint_id, before=before, limit=limit)

        return await self._db.read(read)

    async def redeliver(self, account_id: str, endpoint_id: str, delivery_id: str) -> Delivery:
        """Send a message again, under the same id."""

        def write(tx: Connection) -> Delivery:
            _existing(tx, account_id, endpoint_id)
            found = store.send_again(tx, endpoint_id, delivery_id)
            if found is None:
                raise NotFound("There is no such delivery.")
            return found

        return await self._db.write(write)


def _existing(tx: Connection, account_id: str, endpoint_id: str) -> Endpoint:
    found = store.get_endpoint(tx, account_id, endpoint_id)
    if found is None:
        raise NotFound("There is no such webhook endpoint.")
    return found

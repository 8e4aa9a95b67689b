"""Turns events into webhook deliveries, and sends them at least once."""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from safelight import events, telemetry
from safelight.assets.urls import Links
from safelight.db import Connection
from safelight.db.coalesced import Coalesced
from safelight.db.engine import Database
from safelight.fetch import Poster
from safelight.jobs.ledger import batch_store
from safelight.jobs.ledger import store as job_store
from safelight.notifications import store as notice_store
from safelight.webhooks import endpoint_store, store, webhook
from safelight.webhooks.delivery import Delivery, DeliveryState, SendOutcome
from safelight.webhooks.endpoint import Endpoint
from safelight.webhooks.shares import Shares
from safelight.worker.rounds import OUTAGE, guarded
from safelight.worker.senders import documents
from safelight.worker.senders.sending import send

_log = telemetry.logger(__name__)

_PAGE = 200  # events per transaction
_AT_ONCE = 500  # concurrent deliveries, so that a hundred hanging endpoints delay no others
_EACH = 4  # of them per receiver
_MOST = 300  # of them per endpoint, so that one account leaves room for the others
_LOOKS = 4  # concurrent database reads, because the pool is shared
_LEASE = timedelta(seconds=30)  # well above the time limit of a post
_INTERVAL_S = 1.0
_PACE_S = 0.01  # minimum time between claims while deliveries end one by one


class Notifier:
    """Runs until canceled. Any number can run: deliveries are claimed with a lease.

    Delivery is at-least-once: a message whose notifier dies is resent with the same id.
    """

    def __init__(self, database: Database, poster: Poster, links: Links) -> None:
        self._db = database
        self._poster = poster
        self._links = links
        self._record: Coalesced[tuple[Delivery, SendOutcome], None] = Coalesced(
            database, store.record_all
        )
        self._shares = Shares(each=_EACH, most=_MOST)
        self._room = _AT_ONCE
        self._looks = asyncio.Semaphore(_LOOKS)
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Poll every second, or at once while there is more."""
        async with asyncio.TaskGroup() as group:
            while True:
                taken = await guarded(lambda: self._take(group), _log)
                if not taken or isinstance(taken, Exception):
                    await self._rest()

    async def _rest(self) -> None:
        """Wait for the interval, or until a delivery ends and makes room for another."""
        self._ended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_INTERVAL_S):
                await self._ended.wait()
                await asyncio.sleep(_PACE_S)

    async def round(self) -> None:
        """Create and send everything that is due now, once."""
        taken = 1
        while taken:
            async with asyncio.TaskGroup() as group:
                taken = await self._take(group)

    async def _take(self, group: asyncio.TaskGroup) -> int:
        room, taken = self._room, self._shares.taken()

        def make_and_claim(tx: Connection) -> tuple[int, list[Delivery]]:
            made = fan_out(tx)
            if room <= 0:
                return made, []
            return made, store.claim_due(tx, slots=room, taken=taken, lease=_LEASE)

        made, claimed = await self._db.write(make_and_claim)
        for delivery in claimed:
            self._room -= 1
            self._shares.begin(delivery.receiver)
            group.create_task(self._deliver(delivery))
        return made + len(claimed)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await send(
                delivery.id,
                lambda: self._try_in_share(delivery),
                lambda outcome: self._record((delivery, outcome)),
            )
        finally:
            self._room += 1
            self._ended.set()

    async def _try_in_share(self, delivery: Delivery) -> SendOutcome:
        """Try, and free the receiver's slot before the outcome is recorded."""
        well, hung = True, False
        try:
            outcome = await self._try(delivery)
            if outcome.state is not DeliveryState.DELIVERED:
                _log.info("message not delivered", delivery=delivery.id, error=outcome.error)
            if outcome.tried is not None:
                well, hung = outcome.tried.is_success, outcome.tried.hung
            return outcome
        finally:
            self._shares.end(delivery.receiver, well=well, hung=hung)
            self._ended.set()

    async def _try(self, delivery: Delivery) -> SendOutcome:
        jitter = random.random()  # noqa: S311  jitter, not security
        try:
            async with self._looks:
                found = await self._db.read(lambda tx: self._look(tx, delivery))
            if found is None:
                return SendOutcome(
                    DeliveryState.FAILED, error="The endpoint was disabled or deleted."
                )
            endpoint, forms = found
            body = webhook.body_of(delivery.event, forms)
            return await webhook.send(self._poster, endpoint, delivery, body, jitter=jitter)
        except OUTAGE:
            raise
        except Exception:  # noqa: BLE001  a message that crashes its sender must run out of tries too
            _log.exception("unexpected error in a delivery", delivery=delivery.id)
            return webhook.unforeseen(delivery, jitter=jitter)

    def _look(
        self, tx: Connection, delivery: Delivery
    ) -> tuple[Endpoint, Sequence[Mapping[str, Any]]] | None:
        account_id: str = delivery.event["account_id"]
        endpoint = endpoint_store.get(tx, account_id, delivery.endpoint_id)
        if endpoint is None or endpoint.disabled_at is not None:
            return None
        if endpoint.thin:
            return endpoint, ()
        return endpoint, documents.forms_of(tx, account_id, delivery.event["subject"], self._links)


def fan_out(tx: Connection) -> int:
    """Create the deliveries and notices for the oldest new events; return how many events."""
    found = events.untold(tx, limit=_PAGE)
    if found:
        store.fan_out(tx, found, webhook_urls)
        notice_store.fan_out(tx, found, _named)
        events.mark_told(tx, found)
    return len(found)


def webhook_urls(tx: Connection, ended: Collection[str]) -> Mapping[str, str]:
    """Return the webhook URL of each job and batch that names one."""
    return job_store.webhook_urls(tx, ended) | batch_store.webhook_urls(tx, ended)


def _named(tx: Connection, ended: Collection[str]) -> Mapping[str, Sequence[str]]:
    return job_store.notify_of(tx, ended) | batch_store.notify_of(tx, ended)

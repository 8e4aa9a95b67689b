"""Tells webhook endpoints what happened: events become deliveries, and those are sent."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from safelight import telemetry
from safelight.assets import store as asset_store
from safelight.db.engine import Database
from safelight.delivery import store, webhook
from safelight.delivery.endpoint import Delivery, DeliveryState, Endpoint
from safelight.delivery.webhook import Outcome
from safelight.errors import ServiceError
from safelight.fetch import Poster
from safelight.jobs import batch_store
from safelight.jobs import store as job_store
from safelight.jobs.view import batch_document, job_document

_log = telemetry.logger(__name__)

_PAGE = 200  # events a transaction
_AT_ONCE = 100  # deliveries under way
_EACH = 4  # of them to one endpoint, so that one that hangs delays no other
_LEASE = timedelta(seconds=60)  # well above what a post may take
_INTERVAL_S = 1.0
# What has no limit of a few characters; a receiver finds it at the document's `status_url`.
_LONG_IN_JOB = frozenset({"prompt", "params", "inputs", "outputs", "tags", "metadata"})
_LONG_IN_BATCH = frozenset({"items", "tags", "metadata"})
_OUTAGE = (SQLAlchemyError, ServiceError, OSError)


class Notifier:
    """Runs until canceled. Any number may run: rows are taken one by one, for a lease.

    A message whose notifier dies is sent again under the same id; none is lost.
    """

    def __init__(self, database: Database, poster: Poster, *, base_url: str) -> None:
        self._db = database
        self._poster = poster
        self._base_url = base_url
        self._busy: Counter[str] = Counter()  # deliveries under way, by endpoint
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Look every second, and at once while there is more."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    taken = await self._take(group)
                except _OUTAGE as error:
                    _log.warning("round failed; trying again", error=str(error))
                    taken = 0
                except Exception:  # noqa: BLE001  nobody else sends, so this goes on
                    _log.exception("round failed; trying again")
                    taken = 0
                if not taken:
                    await self._rest()

    async def _rest(self) -> None:
        """Wait the interval, or until a delivery has ended and made room for another."""
        self._ended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_INTERVAL_S):
                await self._ended.wait()

    async def round(self) -> None:
        """Make and send everything that is due now, once."""
        taken = 1
        while taken:
            async with asyncio.TaskGroup() as group:
                taken = await self._take(group)

    async def _take(self, group: asyncio.TaskGroup) -> int:
        made = await self._db.write(lambda tx: store.fan_out(tx, limit=_PAGE))
        room = _AT_ONCE - self._busy.total()
        if room <= 0:
            return made
        busy = dict(self._busy)
        taken = await self._db.write(
            lambda tx: store.claim_due(tx, slots=room, each=_EACH, busy=busy, lease=_LEASE)
        )
        for delivery in taken:
            self._busy[delivery.endpoint_id] += 1
            group.create_task(self._deliver(delivery))
        return made + len(taken)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            outcome = await self._try(delivery)
            await self._db.write(lambda tx: _settle(tx, delivery, outcome))
        except _OUTAGE as error:
            # Its lease runs out, and then it is sent again under the same id.
            _log.warning("delivery not settled", delivery=delivery.id, error=str(error))
        except Exception:  # noqa: BLE001  one message must not end all
            _log.exception("delivery not settled", delivery=delivery.id)
        finally:
            self._busy -= Counter({delivery.endpoint_id: 1})
            self._ended.set()

    async def _try(self, delivery: Delivery) -> Outcome:
        jitter = random.random()  # noqa: S311  spreads retries, guards nothing
        try:
            found = await self._db.read(lambda tx: self._look(tx, delivery))
            if found is None:
                return Outcome(DeliveryState.FAILED, error="The endpoint takes no more.")
            endpoint, forms = found
            body = webhook.body_of(delivery, forms)
            return await webhook.send(self._poster, endpoint, delivery, body, jitter=jitter)
        except _OUTAGE:
            raise
        except Exception:  # noqa: BLE001  a message that breaks its sender has a last try as well
            _log.exception("delivery failed unforeseen", delivery=delivery.id)
            return webhook.failed(delivery, jitter, error="Sending failed for an unknown reason.")

    def _look(
        self, tx: Connection, delivery: Delivery
    ) -> tuple[Endpoint, Sequence[Mapping[str, Any]]] | None:
        account_id: str = delivery.event["account_id"]
        endpoint = store.get_endpoint(tx, account_id, delivery.endpoint_id)
        if endpoint is None or endpoint.disabled_at is not None:
            return None
        return endpoint, self._forms(tx, account_id, delivery.event["subject"])

    def _forms(self, tx: Connection, account_id: str, subject: str) -> list[Mapping[str, Any]]:
        """Return the present document of what the event is about, whole and shortened."""
        job = job_store.get(tx, account_id, subject)
        if job is not None:
            outputs = asset_store.of_jobs(tx, [job.id]).get(job.id, [])
            document = job_document(job, outputs, base_url=self._base_url)
            return [{"job": document}, {"job": _without(document, _LONG_IN_JOB)}]
        batch = batch_store.get(tx, account_id, subject)
        if batch is None:
            return []
        jobs = batch_store.jobs_of(tx, batch.id)
        outputs_of = asset_store.of_jobs(tx, [job.id for job in jobs])
        document = batch_document(batch, jobs, outputs_of, base_url=self._base_url)
        return [{"batch": document}, {"batch": _without(document, _LONG_IN_BATCH)}]


def _without(document: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def _settle(tx: Connection, delivery: Delivery, outcome: Outcome) -> None:
    store.settle(
        tx,
        delivery,
        state=outcome.state,
        status=outcome.status,
        error=outcome.error,
        answer=outcome.answer,
        wait=outcome.wait,
    )
    if outcome.gone:
        store.disable(tx, delivery.endpoint_id)

"""Sends notices to people and topics, at least once, and creates the daily digests."""

import asyncio
import random
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter

from safelight import telemetry
from safelight.assets import store as asset_store
from safelight.assets.urls import Links
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.jobs.job import JobStatus
from safelight.jobs.ledger import store as job_store
from safelight.jobs.view import job_document
from safelight.json_object import JsonObject
from safelight.notifications import facts, store
from safelight.notifications.contact import (
    CONFIRM,
    DIGEST,
    DISABLED,
    GATHERED,
    TEST,
    Channel,
    Contact,
)
from safelight.notifications.content import Templates
from safelight.notifications.mail import confirm_url, stop_url
from safelight.notifications.notice import Content, Notice, NotSentError, Sender
from safelight.webhooks import endpoint_store, webhook
from safelight.webhooks.delivery import DeliveryState, SendOutcome, after_failure
from safelight.worker.rounds import OUTAGE, guarded
from safelight.worker.senders import documents
from safelight.worker.senders.sending import send

NOTICES = Counter("safelight_notices_total", "Tries to send a notice.", ("channel", "outcome"))

_log = telemetry.logger(__name__)

_ADDRESS = re.compile(r"[^\s<>]+@[^\s<>]+|\+\d{6,}")

_AT_ONCE = 8  # mail servers limit connections per client
_LEASE = timedelta(minutes=2)  # well above a sender's time limit
_INTERVAL_S = 1.0
_TITLES = {DIGEST: "Your day", GATHERED: "Your last hour"}
_IN_DIGEST = 12  # jobs shown per status

_Drawn = tuple[Contact, Content]


class Messenger:
    """Runs until canceled. Any number can run: notices are claimed with a lease.

    Delivery is at-least-once: a notice is resent, with the same id, if its messenger dies before
    recording the outcome.
    """

    def __init__(
        self,
        database: Database,
        senders: Mapping[Channel, Sender],
        templates: Templates,
        links: Links,
        *,
        digest_hour: int,
    ) -> None:
        self._db = database
        self._senders = senders
        self._templates = templates
        self._links = links
        self._digest_hour = digest_hour

    async def run(self) -> None:
        """Poll every second, or at once while there is more; idle without senders."""
        while self._senders:
            taken = await guarded(self.round, _log)
            if not taken or isinstance(taken, Exception):
                await asyncio.sleep(_INTERVAL_S)

    async def round(self) -> int:
        """Send some due notices; return how many."""

        def claim(tx: Connection) -> list[Notice]:
            store.add_digests(tx, hour=self._digest_hour, ended_between=job_store.has_ended)
            return store.claim_due(tx, slots=_AT_ONCE, lease=_LEASE)

        claimed = await self._db.write(claim)
        async with asyncio.TaskGroup() as group:
            for notice in claimed:
                group.create_task(self._deliver(notice))
        return len(claimed)

    async def _deliver(self, notice: Notice) -> None:
        await send(
            notice.id,
            lambda: self._try(notice),
            lambda outcome: self._db.write(lambda tx: store.record(tx, notice, outcome)),
        )

    async def _try(self, notice: Notice) -> SendOutcome:
        found = await self._db.read(lambda tx: self._look(tx, notice))
        if isinstance(found, str):
            return SendOutcome(DeliveryState.FAILED, error=found)
        contact, content = found
        sender = self._senders.get(contact.channel)
        if sender is None:
            return self._failed(notice, contact, "This installation cannot send over this channel.")
        try:
            await sender.send(notice, contact, content)
        except NotSentError as error:
            if error.hopeless:
                _note(notice, contact, str(error), DeliveryState.FAILED)
                NOTICES.labels(contact.channel.value, "refused").inc()
                return SendOutcome(DeliveryState.FAILED, error=str(error), gone=error.gone)
            return self._failed(notice, contact, str(error))
        except OUTAGE:
            raise
        except Exception:  # noqa: BLE001  a notice that crashes its sender must run out of tries too
            _log.exception("unexpected error in a notice", notice=notice.id)
            return self._failed(notice, contact, "Sending failed for an unknown reason.")
        NOTICES.labels(contact.channel.value, "delivered").inc()
        return SendOutcome(DeliveryState.DELIVERED)

    def _failed(self, notice: Notice, contact: Contact, error: str) -> SendOutcome:
        jitter = random.random()  # noqa: S311  jitter, not security
        outcome = after_failure(error, notice.tries, jitter=jitter)
        given_up = outcome.state is DeliveryState.FAILED
        _note(notice, contact, error, outcome.state)
        NOTICES.labels(contact.channel.value, "given_up" if given_up else "failed").inc()
        return outcome

    def _look(self, tx: Connection, notice: Notice) -> _Drawn | str:
        """Return the contact and the content, or the reason for not sending."""
        contact = store.of_id(tx, notice.contact_id)
        asks = notice.event["type"] == CONFIRM
        if contact is None or (contact.stopped_at is not None and not asks):
            return "The contact has unsubscribed."
        if asks and not contact.code:
            return "The contact is already confirmed."
        found = self._facts(tx, notice, contact)
        if found is None:
            return "The subject of the notice has been deleted."
        kind, said = found
        everywhere = {
            "base_url": self._links.base_url,
            "address": contact.address,
            "stop_url": stop_url(self._links.base_url, contact),
        }
        data = ""
        if contact.channel is Channel.SNS:
            subject: str = notice.event["subject"]
            forms = documents.forms_of(tx, contact.account_id, subject, self._links)
            data = webhook.body_of(notice.event, forms).decode()
        return contact, self._templates.write(kind, everywhere | said, data)

    def _facts(
        self, tx: Connection, notice: Notice, contact: Contact
    ) -> tuple[str, JsonObject] | None:
        """Return the template kind and its variables; None if the subject is gone."""
        event = notice.event
        kind: str = event["type"]
        if kind == CONFIRM:
            url = confirm_url(self._links.base_url, contact)
            return "confirm", {"code": contact.code, "confirm_url": url}
        if title := _TITLES.get(kind):
            return "digest", self._time(tx, title, contact.account_id, event["data"])
        if kind == TEST or contact.channel is Channel.SNS:
            return "test", {}  # topics get the event as JSON
        return self._of_subject(tx, contact.account_id, event)

    def _of_subject(
        self, tx: Connection, account_id: str, event: Mapping[str, Any]
    ) -> tuple[str, JsonObject] | None:
        kind, subject = event["type"], event["subject"]
        base = self._links.base_url
        if kind == DISABLED:
            endpoint = endpoint_store.get(tx, account_id, subject)
            return endpoint and ("disabled", facts.of_disabled(endpoint, event, base))
        if kind.startswith("batch."):
            batch = documents.batch_of(tx, account_id, subject, self._links)
            return ("batch", facts.of_batch(batch, base)) if batch else None
        job = documents.job_of(tx, account_id, subject, self._links)
        return ("job", facts.of_job(job, base)) if job else None

    def _time(
        self, tx: Connection, title: str, account_id: str, data: Mapping[str, str]
    ) -> JsonObject:
        since, until = (datetime.fromisoformat(data[name]) for name in ("since", "until"))
        counts = job_store.ended_counts(tx, account_id, since, until)
        done, failed = (
            job_store.ended(tx, account_id, since, until, status=status, limit=_IN_DIGEST)
            for status in (JobStatus.SUCCEEDED, JobStatus.FAILED)
        )
        outputs = asset_store.of_jobs(tx, [job.id for job in done])
        return facts.of_time(
            title,
            {status.value: count for status, count in counts.items()},
            [job_document(job, outputs.get(job.id, []), self._links) for job in done],
            [job_document(job, [], self._links) for job in failed],
            data,
        )


def _note(notice: Notice, contact: Contact, error: str, state: DeliveryState) -> None:
    """Log a failed try, without the addresses that servers repeat."""
    _log.warning(
        "notice not sent",
        notice=notice.id,
        channel=contact.channel.value,
        tries=notice.tries,
        state=state.value,
        error=_ADDRESS.sub("…", error),
    )

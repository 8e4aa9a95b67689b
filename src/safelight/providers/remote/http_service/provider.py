"""Provider for one configured HTTP service, synchronous or with a ticket to poll.

Tested against stub services, one for each shape of response.
"""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from safelight.errors import Forbidden, SafelightError
from safelight.fetch import Fetcher
from safelight.fetch.wire import Response
from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderError, ProviderRejected
from safelight.providers.provider import (
    ABSENT,
    Absent,
    AttemptHandle,
    Callback,
    Canceled,
    Done,
    Failed,
    LostStart,
    MediaFile,
    Model,
    News,
    Pending,
    ProviderRequest,
)
from safelight.providers.remote import results
from safelight.providers.remote.api import Api, Lost
from safelight.providers.remote.finished import Finished
from safelight.providers.remote.http_service.answer import (
    Named,
    facts_of,
    is_document,
    read_document,
    read_file,
    reason,
)
from safelight.providers.remote.http_service.asking import Asking, at, object_in
from safelight.providers.remote.http_service.order import Order
from safelight.providers.remote.http_service.places import find, word
from safelight.providers.remote.http_service.service import HttpService, Later
from safelight.providers.remote.http_service.signature import key_of, verify
from safelight.providers.remote.plug import Clock, RemotePlug, utc_now

_SAFETY_NET = timedelta(seconds=60)
_LOOK_S = 60.0
_QUEUED = "waiting for the service"
_VERIFY_S = 10.0
# Refused credentials, and gateways without a service behind them.
_NOT_WELL = frozenset({401, 403, 502, 503, 504})
_MADE = "downloading the results"
# It is put into URLs, so it must not change their path or host.
_TICKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:=+@-]{0,199}", re.ASCII)


class HttpProvider(RemotePlug[Model]):
    """One configured service."""

    def __init__(
        self,
        service: HttpService,
        fetcher: Fetcher,
        *,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(
            service.name,
            fetcher,
            ((model, model) for model in service.models),
            adopts_within=service.adopts_within,
            clock=clock,
        )
        self._service = service
        self._key = key_of(service.signing.secret) if service.signing else b""
        self._look_s = min(_LOOK_S, service.timeout_s)
        self._api = Api(service.url, service.headers)
        self._clients = (self._api,)

    async def verify(self) -> str:
        """Ask for the options of the URL, which begins no work; most answers mean it is there."""
        answer = await self._api.ask("OPTIONS", self._service.url, answer_s=_VERIFY_S)
        if answer.status in _NOT_WELL:
            raise self._api.error(answer)
        return f"the service answers (status {answer.status}); its work is not tried"

    # --- a job -------------------------------------------------------------------------------

    async def start(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        service = self._service
        model = self._model(request.model)
        results.check_format(request.params)
        order = Order(service, model, request, attempt.id, attempt.callback_url)
        sending = await asyncio.to_thread(order.sending)
        await results.check_room(request.scratch, service.max_answer_bytes)
        async with self._api.stream(
            service.method,
            service.url,
            sending,
            pays=not model.repeatable,
            answer_s=service.timeout_s,
        ) as (response, lost):
            answer = await self._read(response, request.scratch, lost)
            is_accepted = service.later and response.status == HTTPStatus.ACCEPTED
        if not is_accepted and (made := await self._made(answer, request.scratch, lost)):
            return made
        if service.later and (ticket := self._ticket_in(answer.document, service.later)):
            return Pending(ticket, self._pace(attempt, service.later), _QUEUED)
        if service.later and not reason(answer.document, service):
            raise lost("The service's response has neither a file nor a ticket.")
        return Failed(ProviderRejected(self._why(answer, "The service made no file.")))

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        if _is_finished(ticket):
            finished = Finished.read(ticket)
            return await self._bring(finished.addresses, finished.facts, request.scratch)
        asking = self._asking(ticket)
        later = asking.later
        told = self._told(attempt.news, ticket, later) or await asking.status(ticket)
        if told is None:
            return Failed(ProviderRejected("The service no longer knows the job."))
        state = asking.state(told)
        if state in later.failed:
            why = self._why(_Answer(told), f"The service reports the status {state}.")
            return Failed(ProviderRejected(why))
        if state in later.done:
            return await self._ended(ticket, told, later, request)
        progress = _percent(word(told, later.progress))
        return Pending(ticket, self._pace(attempt, later), state, progress)

    async def cancel(self, ticket: str) -> Canceled:
        return Canceled(_is_finished(ticket) or await self._asking(ticket).cancel(ticket))

    async def look_up(self, lost: LostStart) -> str | Absent | None:
        later = self._service.later
        if later is None or not later.find_url:
            return None
        told = await self._asks(later).find(lost.attempt_id)
        if told is None:
            return ABSENT
        if not (ticket := self._ticket_in(told, later)):
            raise ProviderError("The service's response has no ticket.")
        return ticket

    # --- callbacks ---------------------------------------------------------------------------

    async def parse_callback(self, callback: Callback) -> News:
        signing, later = self._service.signing, self._service.later
        if signing is None or later is None:
            return await super().parse_callback(callback)
        is_proven = verify(callback, signing.header, self._key, self._clock())
        document = object_in(callback.body)
        if document is None:
            raise Forbidden("The callback is not a JSON object.")
        return News(callback.attempt_id, self._ticket_in(document, later) or None, is_proven)

    def _told(self, news: bytes | None, ticket: str, later: Later) -> JsonObject | None:
        """Return a callback's document if it reports the job's end in full."""
        document = object_in(news) if news else None
        if document is None or word(document, later.ticket) not in ("", ticket):
            return None
        state = word(document, later.status).lower()
        if state in later.failed:
            return document
        complete = bool(later.result_url or find(document, self._service.media))
        return document if state in later.done and complete else None

    # --- the steps ---------------------------------------------------------------------------

    def _asking(self, ticket: str) -> Asking:
        if self._service.later is None or not _TICKET.fullmatch(ticket):
            raise ProviderRejected("Unknown ticket.")
        return self._asks(self._service.later)

    def _asks(self, later: Later) -> Asking:
        return Asking(self._api, later, self._look_s, self._service.max_answer_bytes)

    def _ticket_in(self, document: JsonObject, later: Later) -> str:
        ticket = word(document, later.ticket)
        return ticket if _TICKET.fullmatch(ticket) else ""

    def _pace(self, attempt: AttemptHandle, later: Later) -> timedelta:
        reports = self._service.is_called_back and attempt.callback_url is not None
        return max(_SAFETY_NET, later.pace) if reports else later.pace

    async def _ended(
        self, ticket: str, told: JsonObject, later: Later, request: ProviderRequest
    ) -> Done | Failed:
        """Download the results of a finished job."""
        answer = _Answer(told)
        if later.result_url:
            answer = await self._result(ticket, later, request)
        facts = {"ticket": ticket, **facts_of(told, self._service), **self._facts(answer)}
        if answer.file:
            return Done((answer.file,), facts=facts)
        try:
            named = Named.read(answer.document, self._service)
        except ProviderRejected as verdict:
            return Failed(verdict)
        if not named.told:
            why = self._why(answer, "The service finished without a file.")
            return Failed(ProviderRejected(why))
        return await self._bring(named.told, facts, request.scratch)

    async def _result(self, ticket: str, later: Later, request: ProviderRequest) -> "_Answer":
        async with self._api.stream(
            "GET", at(later.result_url, ticket), answer_s=self._service.timeout_s
        ) as (response, lost):
            return await self._read(response, request.scratch, lost)

    async def _read(self, response: Response, folder: Path, lost: Lost) -> "_Answer":
        service = self._service
        is_file = not service.media and response.status != HTTPStatus.ACCEPTED
        if is_file and not is_document(response):
            return _Answer({}, await read_file(response, folder / "made", lost))
        return _Answer(await read_document(response, service.max_answer_bytes, lost))

    async def _made(
        self, answer: "_Answer", folder: Path, lost: Lost
    ) -> Done | Failed | Pending | None:
        """Return the result of a synchronous response, or None if it has none.

        The work is paid for, so URLs are left to a later poll, which may fail and be repeated.
        """
        facts = self._facts(answer)
        if answer.file:
            return Done((answer.file,), facts=facts)
        try:
            named = Named.read(answer.document, self._service)
        except ProviderRejected as verdict:
            return Failed(verdict)
        if not named.told:
            return None
        ticket = Finished(named.told, facts).write() if named.is_far else None
        if ticket is not None:
            return Pending(ticket, timedelta(), _MADE)
        try:
            return await self._bring(named.told, facts, folder)
        except SafelightError as error:
            if named.is_far:
                raise lost(f"The results could not be downloaded: {error.detail}") from error
            return Failed(ProviderRejected(error.detail))

    async def _bring(self, told: Sequence[str], facts: Mapping[str, Any], folder: Path) -> Done:
        brought = await results.bring_all(self._fetcher, told, folder)
        return Done(brought.files, facts={**facts, **brought.facts})

    def _facts(self, answer: "_Answer") -> JsonObject:
        return facts_of(answer.document, self._service)

    def _why(self, answer: "_Answer", otherwise: str) -> str:
        told = reason(answer.document, self._service)
        return f"The service says: {told}" if told else otherwise


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response: a document, or a file that is already on disk."""

    document: JsonObject
    file: MediaFile | None = None


def _is_finished(ticket: str) -> bool:
    """Return whether a ticket holds URLs; a ticket of a service has no brace."""
    return ticket.startswith("{")


def _percent(text: str) -> float | None:
    """Return a progress in percent; a value of at most 1 is a fraction."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return value * 100 if value <= 1 else value

"""Asks one configured service for media: at once, or by a ticket, as its description says.

Tested against a stub service, of which there is one for every shape of answer.
"""

import asyncio
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

import httpx2
import orjson

from safelight.errors import Forbidden, ProviderBadInput, ProviderRejected
from safelight.fetch import Fetcher
from safelight.providers.api import Api
from safelight.providers.http_service.answer import (
    Lost,
    bring_files,
    facts_of,
    is_document,
    read_document,
    read_file,
    reason,
)
from safelight.providers.http_service.order import Order
from safelight.providers.http_service.places import find, word
from safelight.providers.http_service.service import TICKET, HttpService, Later
from safelight.providers.http_service.signature import key_of, verify
from safelight.providers.provider import (
    AttemptHandle,
    Callback,
    Done,
    MediaFile,
    Model,
    News,
    NoCallbacks,
    Pending,
    ProviderRequest,
)

_SAFETY_NET = timedelta(seconds=60)
_LOOK_S = 60.0
_QUEUED = "waiting for the service"
# It becomes part of addresses, so it must not be able to lead elsewhere.
_TICKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:=+@-]{0,199}", re.ASCII)


class HttpProvider(NoCallbacks):
    """One service of one installation."""

    def __init__(
        self,
        service: HttpService,
        fetcher: Fetcher,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = service.name
        self._service = service
        self._fetcher = fetcher
        self._clock = clock
        self._models = {model.id: model for model in service.models}
        self._key = key_of(service.signing) if service.signing else b""
        self._look_s = min(_LOOK_S, service.timeout_s)
        self._api = Api(service.url, service.headers, transport=transport)
        if service.signing:
            self.adopts_within = service.signing.adopts_within

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every kept connection."""
        await self._api.__aexit__(None, None, None)

    def capabilities(self) -> tuple[Model, ...]:
        return tuple(self._models.values())

    # --- a job -------------------------------------------------------------------------------

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        service = self._service
        model = self._model(request.model)
        order = Order(service, model, request, attempt.id, attempt.callback_url)
        sending = await asyncio.to_thread(order.sending)
        async with self._api.stream(
            service.method,
            service.url,
            sending,
            pays=not model.repeatable,
            answer_s=service.timeout_s,
        ) as (response, lost):
            answer = await self._read(response, request.scratch, lost)
            is_accepted = service.later and response.status_code == HTTPStatus.ACCEPTED
        if not is_accepted:
            outputs = await self._bring(answer, request.scratch)
            if outputs:
                return self._done(outputs, model, answer)
        if service.later is None:
            raise ProviderRejected(self._why(answer, "The service made no file."))
        ticket = self._ticket_in(answer.document, service.later)
        if ticket:
            return Pending(ticket, self._pace(attempt, service.later), _QUEUED)
        if reason(answer.document, service):
            raise ProviderRejected(self._why(answer, ""))
        raise lost("The service's answer holds neither a file nor a ticket.")

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        later = self._later(ticket)
        told = self._told(attempt.news, ticket, later) or await self._status(ticket, later)
        answer = _Answer(told)
        state = word(told, later.status).lower()
        if state in later.failed:
            raise ProviderRejected(self._why(answer, f"The service says that it is {state}."))
        if state not in later.done:
            progress = _percent(word(told, later.progress))
            return Pending(ticket, self._pace(attempt, later), state or _QUEUED, progress)
        if later.result_url:
            answer = await self._result(ticket, later, request)
        outputs = await self._bring(answer, request.scratch)
        if not outputs:
            raise ProviderRejected(self._why(answer, "The service is done and names no file."))
        done = self._done(outputs, self._model(request.model), answer)
        facts = {"ticket": ticket, **facts_of(told, self._service), **done.facts}
        return replace(done, facts=facts)

    async def cancel(self, ticket: str) -> None:
        later = self._service.later
        if later is None or not later.cancel_url or not _TICKET.fullmatch(ticket):
            return
        # The service no longer knows it, or it has ended: both are as good.
        with suppress(ProviderRejected, ProviderBadInput):
            await self._api.call(later.cancel_method, _at(later.cancel_url, ticket))

    # --- callbacks ---------------------------------------------------------------------------

    async def parse_callback(self, callback: Callback) -> News:
        signing, later = self._service.signing, self._service.later
        if signing is None or later is None:
            return await super().parse_callback(callback)
        is_proven = verify(callback, signing, self._key, self._clock())
        document = _object(callback.body)
        if document is None:
            raise Forbidden("The callback is no JSON object.")
        return News(callback.attempt_id, self._ticket_in(document, later) or None, is_proven)

    def _told(self, news: bytes | None, ticket: str, later: Later) -> dict[str, Any] | None:
        """Return what a callback said of this job's end, if that is all there is to know."""
        document = _object(news) if news else None
        if document is None or word(document, later.ticket) not in ("", ticket):
            return None
        state = word(document, later.status).lower()
        if state in later.failed:
            return document
        complete = bool(later.result_url or find(document, self._service.media))
        return document if state in later.done and complete else None

    # --- the steps ---------------------------------------------------------------------------

    def _model(self, model_id: str) -> Model:
        model = self._models.get(model_id)
        if model is None:
            raise ProviderRejected(f"The service {self.name} has no model {model_id}.")
        return model

    def _later(self, ticket: str) -> Later:
        if self._service.later is None or not _TICKET.fullmatch(ticket):
            raise ProviderRejected("The service knows no such ticket.")
        return self._service.later

    def _ticket_in(self, document: dict[str, Any], later: Later) -> str:
        ticket = word(document, later.ticket)
        return ticket if _TICKET.fullmatch(ticket) else ""

    def _pace(self, attempt: AttemptHandle, later: Later) -> timedelta:
        reports = self._service.is_called_back and attempt.callback_url is not None
        return max(_SAFETY_NET, later.pace) if reports else later.pace

    async def _status(self, ticket: str, later: Later) -> dict[str, Any]:
        async with self._api.stream(
            "GET", _at(later.status_url, ticket), answer_s=self._look_s
        ) as (
            response,
            lost,
        ):
            return await read_document(response, self._service.max_answer_bytes, lost)

    async def _result(self, ticket: str, later: Later, request: ProviderRequest) -> "_Answer":
        async with self._api.stream(
            "GET", _at(later.result_url, ticket), answer_s=self._service.timeout_s
        ) as (response, lost):
            return await self._read(response, request.scratch, lost)

    async def _read(self, response: httpx2.Response, folder: Path, lost: Lost) -> "_Answer":
        service = self._service
        is_file = not service.media and response.status_code != HTTPStatus.ACCEPTED
        if is_file and not is_document(response):
            return _Answer({}, await read_file(response, folder / "made", lost))
        return _Answer(await read_document(response, service.max_answer_bytes, lost))

    async def _bring(self, answer: "_Answer", folder: Path) -> tuple[MediaFile, ...]:
        if answer.file:
            return (answer.file,)
        return await bring_files(answer.document, self._service, self._fetcher, folder)

    def _done(self, outputs: tuple[MediaFile, ...], model: Model, answer: "_Answer") -> Done:
        return Done(outputs, facts=facts_of(answer.document, self._service))

    def _why(self, answer: "_Answer", otherwise: str) -> str:
        told = reason(answer.document, self._service)
        return f"The service says: {told}" if told else otherwise


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back: a document, or a file, which then is already on disk."""

    document: dict[str, Any]
    file: MediaFile | None = None


def _at(template: str, ticket: str) -> str:
    return template.replace(TICKET, quote(ticket, safe=""))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _percent(text: str) -> float | None:
    """Return a progress in percent; what lies between 0 and 1 is a part of 1."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return value * 100 if value <= 1 else value

"""Provider for fal's queue: submits a request, then waits for its webhook and polls.

Tested against a stub server written from the published protocol, not against fal itself.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from safelight.errors import Forbidden
from safelight.fetch import Fetcher
from safelight.json_object import as_object
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderRefused,
    ProviderRejected,
    UnknownOutcome,
)
from safelight.providers.provider import (
    AttemptHandle,
    Callback,
    Canceled,
    Done,
    Failed,
    LostStart,
    News,
    Pending,
    ProviderRequest,
    Usage,
)
from safelight.providers.remote import results
from safelight.providers.remote.adoption import Wanted, only
from safelight.providers.remote.api import MIB, Answer, Api, Sending
from safelight.providers.remote.fal import result
from safelight.providers.remote.fal.config import FalConfig, FalModel
from safelight.providers.remote.fal.listing import requests_since
from safelight.providers.remote.fal.models import MODELS
from safelight.providers.remote.fal.order import body_of, words_of
from safelight.providers.remote.fal.refusal import explain, failed, is_verdict
from safelight.providers.remote.fal.signature import PublishedKeys, Seal
from safelight.providers.remote.plug import Clock, RemotePlug, utc_now
from safelight.providers.remote.untrusted import parse

_VERIFY_S = 15.0
_SAFETY_NET = timedelta(seconds=60)
_PICTURE_PACE = timedelta(seconds=2)
_MODEL_PACE = timedelta(seconds=5)
_MAX_ANSWER = 64 * MIB  # small files may be inline
_REQUEST_ID = re.compile(r"[\w-]{1,128}", re.ASCII)
_TICKET = re.compile(r"((?:(?:workflows|comfy)/)?[\w-]+/[\w.-]+):([\w-]{1,128})", re.ASCII)
_COMPLETED = "COMPLETED"
_UNDER_WAY = ("IN_QUEUE", "IN_PROGRESS")
# https://fal.ai/docs/inference-api/queue/cancel
_CANCEL_WORDS = ("OK", "CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND")


@dataclass(frozen=True, slots=True)
class _Work:
    """A request and the app it belongs to, which together address it at fal."""

    app: str
    id: str

    @classmethod
    def read(cls, ticket: str, model: FalModel) -> Self:
        """Parse a ticket; a ticket from a webhook is the bare request id."""
        if found := _TICKET.fullmatch(ticket):
            return cls(found[1], found[2])
        if _REQUEST_ID.fullmatch(ticket):
            return cls(model.app, ticket)
        raise ProviderRejected("Unknown ticket.")

    @property
    def at(self) -> str:
        return f"/{self.app}/requests/{self.id}"

    def __str__(self) -> str:
        return f"{self.app}:{self.id}"


class FalProvider(RemotePlug[FalModel]):
    """One account. A ticket is `owner/name:request id`; a webhook has only the id."""

    def __init__(
        self,
        config: FalConfig,
        fetcher: Fetcher,
        models: tuple[FalModel, ...] = MODELS,
        *,
        clock: Clock = utc_now,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise `ValueError` for a model of another provider."""
        super().__init__(
            config.name,
            fetcher,
            ((model.offer, model) for model in models),
            adopts_within=config.adopts_within,
            clock=clock,
        )
        self._config = config
        if any(model.provider != self.name for model in models):
            raise ValueError(f"A model must have {self.name} as its provider.")
        headers = {"Authorization": f"Key {config.key}"}
        self._api = Api(config.queue_url, headers, explain=explain)
        self._platform = Api(config.platform_url, headers, explain=explain)
        # The signing keys are public, so they are fetched without our API key.
        self._open = Api(config.keys_url, {})
        self._keys = PublishedKeys(self._open, config.keys_url, ticks)
        self._clients = (self._api, self._platform, self._open)

    # --- a job -------------------------------------------------------------------------------

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Pending:
        model = self._model(request.model)
        told = await asyncio.to_thread(body_of, request, model, self._config.max_input_bytes)
        results.check_format(told)
        hook = {"fal_webhook": attempt.callback_url} if attempt.callback_url else None
        # A request still queued when the job times out must not start.
        headers = {"X-Fal-Request-Timeout": str(int(model.offer.timeout.total_seconds()))}
        answer = await self._api.call(
            "POST",
            f"/{model.vendor_id}",
            Sending(json=told, params=hook, headers=headers),
            pays=True,
            answer_s=self._config.call_s,
        )
        request_id = as_object(answer.document).get("request_id")
        if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            raise UnknownOutcome("The provider accepted the request without returning its id.")
        return self._pending(str(_Work(model.app, request_id)), model, attempt, answer)

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        model = self._model(request.model)
        work = _Work.read(ticket, model)
        told = as_object(None if attempt.news is None else parse(attempt.news))
        if told.get("request_id") == work.id and told.get("status") == "ERROR":
            return failed(as_object(told.get("payload")) or told)
        if told.get("request_id") == work.id and told.get("status") == "OK":
            if output := as_object(told.get("payload")):
                return await self._done(model, output, request, Usage())
            # The output was too large for the webhook.
            return await self._fetch(work, model, request, Usage())
        answer = await self._status(work)
        status = as_object(answer.document)
        if status.get("status") != _COMPLETED:
            return self._pending(str(work), model, attempt, answer)
        usage = _usage(status)
        if status.get("error") or status.get("error_type"):
            return failed(status, usage)
        return await self._fetch(work, model, request, usage)

    async def verify(self) -> str:
        model = next(iter(self._models.values()))
        # No such request exists; a valid key gets that as its answer.
        with suppress(ProviderRejected, ProviderBadInput):
            at = f"/{model.app}/requests/{UUID(int=0)}/status"
            await self._api.call("GET", at, answer_s=_VERIFY_S)
        return "the key is valid"

    async def cancel(self, ticket: str) -> Canceled:
        known = [_Work.read(ticket, model) for model in self._models.values()]
        # A ticket from a webhook does not name its model.
        for work in dict.fromkeys(known):
            word = await self._ask_to_cancel(work)
            if word == "OK":  # it was still queued
                return Canceled(cost_micros=0)
            if word != "NOT_FOUND":
                return await self._canceled(work, is_over=word == "ALREADY_COMPLETED")
        return Canceled()

    async def look_up(self, lost: LostStart) -> str | None:
        model = self._model(lost.request.model)
        told = words_of(lost.request, model)
        wanted = Wanted.read(lost, told, model.picture_fields, model.offer.timeout)
        if wanted is None or not self._config.platform_url:
            return None
        listed = await requests_since(
            self._platform, model.vendor_id, wanted.since, self._config.call_s
        )
        return only(
            {
                str(_Work(model.app, one.id))
                for one in listed or ()
                if _REQUEST_ID.fullmatch(one.id) and wanted.is_in(one.sent_at, one.told)
            }
        )

    # --- webhooks ----------------------------------------------------------------------------

    async def parse_callback(self, callback: Callback) -> News:
        seal = Seal.read(callback, self._clock())
        await self._keys.verify(seal)
        request_id = as_object(parse(callback.body)).get("request_id")
        if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            raise Forbidden("The webhook names no request.")
        return News(callback.attempt_id, request_id, is_proven=True)

    # --- the steps ---------------------------------------------------------------------------

    async def _status(self, work: _Work) -> Answer:
        """Return the status response, which must have one of fal's known states."""
        answer = await self._api.call("GET", f"{work.at}/status", answer_s=self._config.call_s)
        if as_object(answer.document).get("status") not in (*_UNDER_WAY, _COMPLETED):
            raise ProviderError("The provider's response has no known status.")
        return answer

    async def _ask_to_cancel(self, work: _Work) -> str:
        """Return fal's word for the result of a cancel request; its HTTP status varies with it."""
        answer = await self._api.ask("PUT", f"{work.at}/cancel", answer_s=self._config.call_s)
        word = as_object(answer.document).get("status")
        if word not in _CANCEL_WORDS:
            raise self._api.error(answer)
        return str(word)

    async def _canceled(self, work: _Work, *, is_over: bool) -> Canceled:
        """Poll whether the request has ended, since a runner may ignore a cancel request."""
        answer = await self._api.ask("GET", f"{work.at}/status", answer_s=self._config.call_s)
        status = as_object(answer.document)
        if not answer.is_success and not is_over:
            raise self._api.error(answer)
        return Canceled(is_over or status.get("status") == _COMPLETED, usage=_usage(status))

    async def _fetch(
        self, work: _Work, model: FalModel, request: ProviderRequest, usage: Usage
    ) -> Done | Failed:
        answer = await self._api.ask(
            "GET", work.at, answer_s=self._config.call_s, max_bytes=_MAX_ANSWER
        )
        if is_verdict(answer):
            return failed(answer.document, usage, answer.headers.get("x-fal-error-type", ""))
        if not answer.is_success:
            raise self._api.error(answer)
        output = as_object(answer.document)
        if not output:
            raise ProviderError("The provider's response cannot be parsed.")
        return await self._done(model, output, request, usage)

    async def _done(
        self, model: FalModel, output: Mapping[str, Any], request: ProviderRequest, usage: Usage
    ) -> Done | Failed:
        timings = as_object(output.get("timings")).get("inference")
        if usage.seconds is None and isinstance(timings, int | float):
            usage = Usage(seconds=float(timings))
        try:
            made = result.Made.read(output, makes_models=model.makes_models)
        except (ProviderRejected, ProviderRefused) as verdict:
            return Failed(verdict, usage=usage)
        brought = await result.bring(self._fetcher, made, request.scratch)
        return Done(brought.files, facts={**made.facts, **brought.facts}, usage=usage)

    def _pending(
        self, ticket: str, model: FalModel, attempt: AttemptHandle, answer: Answer
    ) -> Pending:
        told = as_object(answer.document)
        place = told.get("queue_position")
        stage = "working"
        if told.get("status") == "IN_QUEUE":
            stage = f"number {place + 1} in the queue" if isinstance(place, int) else "in the queue"
        pace = _MODEL_PACE if model.makes_models else _PICTURE_PACE
        if attempt.callback_url:
            pace = _SAFETY_NET
        return Pending(ticket, pace, stage)


def _usage(status: Mapping[str, Any]) -> Usage:
    seconds = as_object(status.get("metrics")).get("inference_time")
    return Usage(seconds=float(seconds)) if isinstance(seconds, int | float) else Usage()

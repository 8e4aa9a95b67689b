"""Lets fal work: puts a request in its queue, parks, and looks when a webhook comes or time is due.

Tested against a stub server written from the published protocol, not against fal itself.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID

import httpx2
import orjson

from safelight.errors import (
    Forbidden,
    ProviderBadInput,
    ProviderError,
    ProviderRejected,
    UnknownOutcome,
)
from safelight.fetch import Fetcher
from safelight.providers.api import MIB, Answer, Api, Sending
from safelight.providers.fal import result
from safelight.providers.fal.config import FalConfig, FalModel
from safelight.providers.fal.models import MODELS
from safelight.providers.fal.order import body_of
from safelight.providers.fal.refusal import explain, failed
from safelight.providers.fal.signature import PublishedKeys, Seal
from safelight.providers.provider import (
    AttemptHandle,
    Callback,
    Done,
    Model,
    News,
    NoCallbacks,
    Pending,
    ProviderRequest,
    Usage,
)

_VERIFY_S = 15.0
_SAFETY_NET = timedelta(seconds=60)
_PICTURE_PACE = timedelta(seconds=2)
_MODEL_PACE = timedelta(seconds=5)
_MAX_ANSWER = 64 * MIB  # small files may be spelled out in it
_REQUEST_ID = re.compile(r"[\w-]{1,128}", re.ASCII)
_TICKET = re.compile(r"((?:(?:workflows|comfy)/)?[\w-]+/[\w.-]+):([\w-]{1,128})", re.ASCII)


class FalProvider(NoCallbacks):
    """One account. A ticket is `owner/name:request id`; a webhook knows only the latter."""

    def __init__(
        self,
        config: FalConfig,
        fetcher: Fetcher,
        models: tuple[FalModel, ...] = MODELS,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raise `ValueError` for a model of another provider."""
        self.name = config.name
        self.adopts_within = config.adopts_within
        self._config = config
        self._fetcher = fetcher
        self._clock = clock
        self._models = {model.offer.id: model for model in models}
        if any(model.provider != self.name for model in models):
            raise ValueError(f"A model must have {self.name} as its provider.")
        headers = {"Authorization": f"Key {config.key}"}
        self._api = Api(config.queue_url, headers, explain=explain, transport=transport)
        # The keys are public, and our own key is for nobody but the queue.
        self._open = Api(config.keys_url, {}, transport=transport)
        self._keys = PublishedKeys(self._open, config.keys_url, clock)

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
        for api in (self._api, self._open):
            await api.__aexit__(None, None, None)

    def capabilities(self) -> tuple[Model, ...]:
        return tuple(model.offer for model in self._models.values())

    # --- a job -------------------------------------------------------------------------------

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        model = self._model(request.model)
        told = await asyncio.to_thread(body_of, request, model, self._config.max_input_bytes)
        hook = {"fal_webhook": attempt.callback_url} if attempt.callback_url else None
        # What has not begun by the end of the job's time need not begin at all.
        headers = {"X-Fal-Request-Timeout": str(int(model.offer.timeout.total_seconds()))}
        answer = await self._api.call(
            "POST",
            f"/{model.vendor_id}",
            Sending(json=told, params=hook, headers=headers),
            pays=True,
            answer_s=self._config.call_s,
        )
        request_id = _object(answer.document).get("request_id")
        if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            raise UnknownOutcome("The provider took the order and does not say under which name.")
        return self._pending(f"{model.app}:{request_id}", model, attempt, answer)

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        model = self._model(request.model)
        app, request_id = _read_ticket(ticket, model)
        told = _object(_parsed(attempt.news)) if attempt.news is not None else {}
        if told.get("request_id") == request_id:
            if told.get("status") != "OK":
                raise failed(_object(told.get("payload")) or told)
            if output := _object(told.get("payload")):
                return await self._done(model, output, request, Usage())
            # The output was too much for a webhook, so it is fetched.
            return await self._fetch(app, request_id, model, request, Usage())
        at = f"/{app}/requests/{request_id}/status"
        answer = await self._api.call("GET", at, answer_s=self._config.call_s)
        status = _object(answer.document)
        if status.get("status") != "COMPLETED":
            return self._pending(ticket, model, attempt, answer)
        if status.get("error") or status.get("error_type"):
            raise failed(status, str(status.get("error_type") or ""))
        seconds = _object(status.get("metrics")).get("inference_time")
        usage = Usage(seconds=float(seconds)) if isinstance(seconds, int | float) else Usage()
        return await self._fetch(app, request_id, model, request, usage)

    async def verify(self) -> str:
        model = next(iter(self._models.values()))
        # There is no such request; whoever may ask is told so.
        with suppress(ProviderRejected, ProviderBadInput):
            at = f"/{model.app}/requests/{UUID(int=0)}/status"
            await self._api.call("GET", at, answer_s=_VERIFY_S)
        return "the key is good"

    async def cancel(self, ticket: str) -> None:
        if not _TICKET.fullmatch(ticket):
            return  # one that only a webhook told of: fal is not asked without the model's name
        app, _, request_id = ticket.rpartition(":")
        # It is not known there, or has ended: both are as good.
        with suppress(ProviderRejected, ProviderBadInput):
            await self._api.call(
                "PUT", f"/{app}/requests/{request_id}/cancel", answer_s=self._config.call_s
            )

    # --- webhooks ----------------------------------------------------------------------------

    async def parse_callback(self, callback: Callback) -> News:
        seal = Seal.read(callback, self._clock())
        await self._keys.verify(seal)
        request_id = _object(_parsed(callback.body)).get("request_id")
        if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            raise Forbidden("The webhook is about no request.")
        return News(callback.attempt_id, request_id, is_proven=True)

    # --- the steps ---------------------------------------------------------------------------

    def _model(self, model_id: str) -> FalModel:
        model = self._models.get(model_id)
        if model is None:
            raise ProviderRejected(f"The provider {self.name} has no model {model_id}.")
        return model

    async def _fetch(
        self, app: str, request_id: str, model: FalModel, request: ProviderRequest, usage: Usage
    ) -> Done:
        answer = await self._api.call(
            "GET",
            f"/{app}/requests/{request_id}",
            answer_s=self._config.call_s,
            max_bytes=_MAX_ANSWER,
        )
        output = _object(answer.document)
        if not output:
            raise ProviderError("The provider's answer cannot be read.")
        return await self._done(model, output, request, usage)

    async def _done(
        self, model: FalModel, output: Mapping[str, Any], request: ProviderRequest, usage: Usage
    ) -> Done:
        made = await result.bring(
            self._fetcher, output, request.scratch, makes_models=model.makes_models
        )
        timings = _object(output.get("timings")).get("inference")
        if usage.seconds is None and isinstance(timings, int | float):
            usage = Usage(seconds=float(timings))
        return Done(made.files, facts=made.facts, usage=usage)

    def _pending(
        self, ticket: str, model: FalModel, attempt: AttemptHandle, answer: Answer
    ) -> Pending:
        told = _object(answer.document)
        place = told.get("queue_position")
        stage = "working"
        if told.get("status") == "IN_QUEUE":
            stage = f"number {place + 1} in the queue" if isinstance(place, int) else "in the queue"
        pace = _MODEL_PACE if model.makes_models else _PICTURE_PACE
        if attempt.callback_url:
            pace = _SAFETY_NET
        return Pending(ticket, pace, stage)


def _read_ticket(ticket: str, model: FalModel) -> tuple[str, str]:
    """Return app and request id; a ticket that a webhook told of has only the latter."""
    if found := _TICKET.fullmatch(ticket):
        return found[1], found[2]
    if _REQUEST_ID.fullmatch(ticket):
        return model.app, ticket
    raise ProviderRejected("The provider knows no such ticket.")


def _parsed(body: bytes | None) -> object:
    try:
        return orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None


def _object(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

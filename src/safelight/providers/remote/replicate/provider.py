"""Provider for Replicate: starts a prediction, then waits for its webhook and polls.

Tested against a stub server written from the published protocol, not against Replicate itself.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import jsonschema_rs

from safelight.errors import Forbidden
from safelight.fetch import Fetcher
from safelight.json_object import JsonObject, as_object
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
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
    MediaFile,
    News,
    Pending,
    ProviderRequest,
)
from safelight.providers.remote import results
from safelight.providers.remote.adoption import Wanted, only
from safelight.providers.remote.api import MIB, Api, Sending
from safelight.providers.remote.plug import Clock, RemotePlug, utc_now
from safelight.providers.remote.replicate import pictures
from safelight.providers.remote.replicate.config import ReplicateConfig, ReplicateModel
from safelight.providers.remote.replicate.keys import SigningKey
from safelight.providers.remote.replicate.listing import predictions
from safelight.providers.remote.replicate.models import MODELS
from safelight.providers.remote.replicate.params import arguments
from safelight.providers.remote.replicate.prediction import Prediction, is_ticket
from safelight.providers.remote.replicate.refusal import clean, explain
from safelight.providers.remote.replicate.signature import Seal
from safelight.providers.remote.untrusted import parse

_VERIFY_S = 15.0
_SAFETY_NET = timedelta(seconds=60)
_PICTURE_PACE = timedelta(seconds=2)
_MODEL_PACE = timedelta(seconds=5)
_MAX_ANSWER = 64 * MIB  # small files are inline
_MAX_ERRORS = 10
_GLB = "model/gltf-binary"


class ReplicateProvider(RemotePlug[ReplicateModel]):
    """One account. A ticket is a prediction's id."""

    def __init__(
        self,
        config: ReplicateConfig,
        fetcher: Fetcher,
        models: tuple[ReplicateModel, ...] = MODELS,
        *,
        clock: Clock = utc_now,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise `ValueError` for a model of another provider, or an invalid secret."""
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
        self._validators = {
            name: jsonschema_rs.validator_for(dict(model.open_schema))
            for name, model in self._models.items()
        }
        # The meaning of an error depends on whether the call may have been charged.
        self._orders, self._api = (
            Api(
                config.base_url,
                config.headers,
                explain=partial(explain, pays=pays),
            )
            for pays in (True, False)
        )
        self._key = SigningKey(self._api, config.webhook_secret, ticks)
        self._clients = (self._orders, self._api)

    # --- a job -------------------------------------------------------------------------------

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Pending:
        model = self._model(request.model)
        placed = await asyncio.to_thread(pictures.place, request.inputs, model.fields)
        told = arguments(model.open_schema, model.fields, request.prompt, request.params)
        results.check_format(told | dict(model.fixed))
        self._judge(request.model, told | pictures.stand_ins(placed))
        told |= await pictures.send(self._api, placed, self._config.upload_s)
        sending = _order(model, told | dict(model.fixed), attempt.callback_url)
        answer = await self._orders.call(
            "POST",
            model.reference.predictions_path,
            sending,
            pays=True,
            answer_s=self._config.call_s,
            max_bytes=_MAX_ANSWER,
        )
        begun = Prediction.read(answer.document)
        if begun is None:
            raise UnknownOutcome("The provider accepted the request without returning its id.")
        pending = self._pending(begun, model, attempt)
        return replace(pending, news=answer.body) if begun.has_ended else pending

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        model = self._model(request.model)
        found = Prediction.heard(attempt.news, ticket) or await self._look(ticket)
        if not found.has_ended:
            return self._pending(found, model, attempt)
        if verdict := found.verdict():
            return Failed(verdict, found.cost_micros, found.usage)
        brought = await results.bring_all(self._fetcher, found.addresses(), request.scratch)
        outputs = _models_of(brought.files) if model.makes_models else brought.files
        if not outputs:
            missing = brought.missing or "The provider finished without a 3D model."
            return Failed(ProviderRejected(missing), usage=found.usage)
        facts = found.facts() | brought.facts
        return Done(outputs, facts=facts, usage=found.usage)

    async def verify(self) -> str:
        document = (await self._api.call("GET", "/account", answer_s=_VERIFY_S)).document
        told = as_object(document)
        return f"the token is valid for {clean(str(told.get('username') or 'an account'))}"

    async def cancel(self, ticket: str) -> Canceled:
        _check_ticket(ticket)
        try:
            answer = await self._api.call(
                "POST", f"/predictions/{ticket}/cancel", answer_s=self._config.call_s
            )
            found = _about(ticket, answer.document)
        except (ProviderRejected, ProviderBadInput):
            # It may already have ended, which only the prediction itself shows.
            found = await self._look(ticket)
            if not found.has_ended:
                raise
        return Canceled(found.has_ended, found.cost_micros, found.usage)

    async def look_up(self, lost: LostStart) -> str | None:
        model = self._model(lost.request.model)
        told = arguments(
            model.open_schema, model.fields, lost.request.prompt, lost.request.params
        ) | dict(model.fixed)
        wanted = Wanted.read(lost, told, model.fields.of_files, model.offer.timeout)
        if wanted is None:
            return None
        listed = await predictions(self._api, wanted.since, wanted.until, self._config.call_s)
        return only(
            {
                one.id
                for one in listed or ()
                if one.created_at
                and one.is_of(model.reference)
                and wanted.is_in(one.created_at, one.told.get("input"))
            }
        )

    # --- callbacks ---------------------------------------------------------------------------

    async def parse_callback(self, callback: Callback) -> News:
        seal = Seal.read(callback, self._clock())
        seal.verify(callback.body, await self._key.get())
        told = Prediction.read(parse(callback.body))
        if told is None:
            raise Forbidden("The callback names no prediction.")
        return News(callback.attempt_id, told.id, is_proven=True)

    # --- the steps ---------------------------------------------------------------------------

    def _judge(self, model_id: str, told: Mapping[str, Any]) -> None:
        """Reject what Replicate would, before anything is uploaded or paid for."""
        wrong = [
            {
                "field": ".".join(str(part) for part in problem.instance_path),
                "message": clean(problem.message),
            }
            for problem, _ in zip(
                self._validators[model_id].iter_errors(told), range(_MAX_ERRORS), strict=False
            )
        ]
        if wrong:
            raise ProviderBadInput(
                f"The model does not take this: {wrong[0]['message']}", errors=wrong
            )

    async def _look(self, ticket: str) -> Prediction:
        _check_ticket(ticket)
        answer = await self._api.call(
            "GET",
            f"/predictions/{ticket}",
            answer_s=self._config.call_s,
            max_bytes=_MAX_ANSWER,
        )
        return _about(ticket, answer.document)

    def _pending(self, found: Prediction, model: ReplicateModel, attempt: AttemptHandle) -> Pending:
        pace = _MODEL_PACE if model.makes_models else _PICTURE_PACE
        if found.has_ended:
            pace = timedelta()  # the response to the start has the result
        elif _is_called_at(attempt.callback_url):
            pace = _SAFETY_NET
        return Pending(found.id, pace, found.stage, found.progress)


def _check_ticket(ticket: str) -> None:
    if not is_ticket(ticket):
        raise ProviderRejected("Unknown ticket.")


def _about(ticket: str, document: object) -> Prediction:
    """Parse a response about this prediction."""
    found = Prediction.read(document)
    if found is None or found.id != ticket:
        raise ProviderError("The provider's response is about another prediction.")
    return found


def _models_of(files: tuple[MediaFile, ...]) -> tuple[MediaFile, ...]:
    """Return the 3D models, the first one with a preview."""
    models = [file for file in files if file.media_type == _GLB]
    shown = [file.path for file in files if file.media_type != _GLB]
    if not models:
        return ()
    return (replace(models[0], preview=shown[0] if shown else None), *models[1:])


def _order(model: ReplicateModel, told: Mapping[str, Any], callback_url: str | None) -> Sending:
    body: JsonObject = {"input": told}
    if model.reference.version:
        body["version"] = model.reference.version
    if _is_called_at(callback_url):
        body |= {"webhook": callback_url, "webhook_events_filter": ["completed"]}
    # Work that outlives its job's timeout must not be billed any longer.
    seconds = int(model.offer.timeout.total_seconds())
    return Sending(json=body, headers={"Cancel-After": f"{max(seconds, 5)}s"})


def _is_called_at(callback_url: str | None) -> bool:
    """Return whether Replicate accepts the callback URL, which must be https."""
    return callback_url is not None and callback_url.startswith("https://")

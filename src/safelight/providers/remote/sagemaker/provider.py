"""Provider for Amazon SageMaker asynchronous endpoints.

Request, result and failure are S3 objects. SNS notifications report the end of a request, and
polling S3 is the fallback. Tested against stand-ins (moto and a stub of our own), not against AWS.
"""

import asyncio
from datetime import timedelta

from safelight import telemetry
from safelight.errors import Forbidden
from safelight.fetch import Fetcher
from safelight.providers.errors import ProviderError, ProviderRejected, UnknownOutcome
from safelight.providers.provider import (
    AttemptHandle,
    Callback,
    Canceled,
    Done,
    Failed,
    LostStart,
    Model,
    News,
    Pending,
    ProviderRequest,
)
from safelight.providers.remote import results
from safelight.providers.remote.api import Answer
from safelight.providers.remote.plug import Clock, RemotePlug, utc_now
from safelight.providers.remote.sagemaker import ticket as tickets
from safelight.providers.remote.sagemaker import watch
from safelight.providers.remote.sagemaker.answer import EndpointAnswer, read_answer
from safelight.providers.remote.sagemaker.bring import bring
from safelight.providers.remote.sagemaker.calls import Calls
from safelight.providers.remote.sagemaker.config import MODELS, NAME, SageMakerConfig
from safelight.providers.remote.sagemaker.credentials import Credentials
from safelight.providers.remote.sagemaker.failure import error_of
from safelight.providers.remote.sagemaker.notice import Notice, kept_notice, read_notice
from safelight.providers.remote.sagemaker.objects import Objects
from safelight.providers.remote.sagemaker.order import write_order
from safelight.providers.remote.sagemaker.sns import CONFIRMATION, NOTIFICATION, SnsVerifier, Visit
from safelight.providers.remote.sagemaker.ticket import Ticket
from safelight.providers.remote.sagemaker.visit import visit_by

_log = telemetry.logger(__name__)

_NOTHING = "safelight-verify"  # no object has this name
_PACE = timedelta(seconds=2)
_PACE_WAKING = timedelta(seconds=15)
_SAFETY_NET = timedelta(seconds=60)
_MAX_FAILURE = 2**20
_MISPLACED = (
    "The endpoint writes to another S3 location than the settings say: fix either one and restart."
)
_TTL_S = (60, 21_600)  # AWS limits
_INVOCATION_S = (1, 3_600)


class SageMakerProvider(RemotePlug[Model]):
    """The endpoints of one installation; a model's `vendor_id` is its endpoint."""

    shares_callback_address = True

    def __init__(
        self,
        config: SageMakerConfig,
        credentials: Credentials,
        fetcher: Fetcher,
        models: tuple[Model, ...] = MODELS,
        *,
        visit: Visit | None = None,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(
            NAME,
            fetcher,
            ((model, model) for model in models),
            adopts_within=config.answers_within,
            clock=clock,
        )
        self._config = config
        self._calls = Calls(config, credentials)
        self._clients = (self._calls,)
        self._objects = Objects(config, credentials)
        self._watch = watch.EndpointWatch(self._calls)
        self._visit = visit or visit_by(fetcher)
        host = f"sns.{config.region}.{config.domain}"
        self._sns = SnsVerifier(host, config.topics, self._visit, clock)
        self._misplaced: set[str] = set()  # endpoints that write outside our locations

    # --- a request ---------------------------------------------------------------------------

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Pending:
        endpoint = self._endpoint(request.model)
        results.check_format(request.params)
        order = await asyncio.to_thread(write_order, request)
        name = _input_name(attempt.id)
        await self._objects.put(self._config.inputs, name, order)
        answer = await self._calls.invoke(endpoint, self._headers(attempt.id, name))
        ticket = self._ticket_of(answer, attempt.id, endpoint)
        return Pending(ticket.write(), self._pace(attempt, watch.QUEUED), watch.QUEUED)

    async def verify(self) -> str:
        """Check S3 only: a request to an endpoint would scale it up."""
        config = self._config
        for place in (config.inputs, config.outputs, config.failures):
            await self._objects.exists(place, _NOTHING)
        return "the three S3 locations are accessible; endpoints are not checked"

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        known = Ticket.read(ticket)
        config = self._config
        body = await self._objects.read(config.outputs, known.output, max_bytes=results.MAX_BYTES)
        if body is not None:
            return await self._done(body, known, request)
        if failed := await self._failure(known, kept_notice(attempt.news)):
            return failed
        stage = await self._watch.stage(known.endpoint) if known.endpoint else watch.QUEUED
        return Pending(ticket, self._pace(attempt, stage), stage)

    async def cancel(self, ticket: str) -> Canceled:
        """Delete the request's input, since SageMaker has no call that cancels.

        A queued request then fails when its turn comes, and a running one continues. The cancel is
        confirmed by a result or a failure, one of which SageMaker eventually writes.
        """
        known = Ticket.read(ticket)
        await self._objects.delete(self._config.inputs, _input_name(known.attempt))
        if await self._objects.exists(self._config.outputs, known.output):
            return Canceled()
        has_failed = await self._objects.exists(self._config.failures, known.failure)
        return Canceled(has_failed or bool(await self._failures_of(known.attempt)))

    async def look_up(self, lost: LostStart) -> str | None:
        """Return the ticket of a request that has ended.

        A missing input proves nothing, since the settings may have changed.
        """
        attempt_id = lost.attempt_id
        if not tickets.is_attempt(attempt_id):
            return None
        usual = tickets.foretold(attempt_id)
        made = await self._objects.exists(self._config.outputs, usual)
        failed = await self._failures_of(attempt_id)
        if not made and not failed:
            return None
        return Ticket(attempt_id, "", usual, failed[0] if failed else usual).write()

    # --- callbacks ---------------------------------------------------------------------------

    async def parse_callback(self, callback: Callback) -> News:
        heard = await self._sns.verify(callback.body)
        if heard.kind == CONFIRMATION:
            await self._visit(heard.subscribe_url)
            _log.info("subscription confirmed", topic=heard.topic)
            return News()
        if heard.kind != NOTIFICATION:
            _log.warning("no longer subscribed", topic=heard.topic)
            return News()
        notice = read_notice(heard.message)
        # A topic may carry messages of others.
        if notice is None or not tickets.is_attempt(notice.attempt) or not self._serves(notice):
            return News()
        if callback.attempt_id not in (None, notice.attempt):
            raise Forbidden("The message names another attempt than its callback URL.")
        return News(notice.attempt, self._ticket_told(notice), is_proven=True)

    def _serves(self, notice: Notice) -> bool:
        return any(model.vendor_id == notice.endpoint for model in self._models.values())

    def _ticket_told(self, notice: Notice) -> str:
        usual = tickets.foretold(notice.attempt)
        output = self._config.outputs.name_of(notice.output) or usual
        return Ticket(notice.attempt, notice.endpoint, output, usual).write()

    # --- the steps ---------------------------------------------------------------------------

    def _endpoint(self, model_id: str) -> str:
        model = self._models.get(model_id)
        if model is None or not tickets.is_endpoint(model.vendor_id):
            raise ProviderRejected(f"No endpoint of SageMaker serves {model_id}.")
        if model.vendor_id in self._misplaced:
            raise ProviderRejected(_MISPLACED)
        return model.vendor_id

    def _headers(self, attempt_id: str, name: str) -> dict[str, str]:
        config = self._config
        return {
            "InputLocation": config.inputs.uri + name,
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Inference-Id": attempt_id,
            "S3OutputPathExtension": tickets.folder_of(attempt_id),
            "Filename": tickets.file_name(),
            "RequestTTLSeconds": _seconds(config.request_ttl, _TTL_S),
            "InvocationTimeoutSeconds": _seconds(config.invocation_timeout, _INVOCATION_S),
        }

    def _ticket_of(self, answer: Answer, attempt_id: str, endpoint: str) -> Ticket:
        """Return the ticket of a response, whose S3 URLs must be in our locations."""
        output_uri = answer.headers.get("x-amzn-sagemaker-outputlocation", "")
        failure_uri = answer.headers.get("x-amzn-sagemaker-failurelocation", "")
        if not output_uri:
            raise UnknownOutcome("SageMaker's response does not name the result's location.")
        output = self._config.outputs.name_of(output_uri)
        failure = (
            self._config.failures.name_of(failure_uri)
            if failure_uri
            else tickets.foretold(attempt_id)
        )
        if output is None or failure is None:
            # It is paid for and its result will be out of reach: submit nothing more there.
            self._misplaced.add(endpoint)
            raise UnknownOutcome(_MISPLACED)
        return Ticket(attempt_id, endpoint, output, failure)

    async def _failures_of(self, attempt_id: str) -> list[str]:
        """Return the names of an attempt's failure objects, which AWS does not document."""
        places = self._config
        if places.failures == places.outputs:
            return []  # it may be part of the result
        return await self._objects.names(places.failures, tickets.folder_of(attempt_id))

    def _pace(self, attempt: AttemptHandle, stage: str) -> timedelta:
        if attempt.callback_url is not None and self._config.topics:
            return _SAFETY_NET
        return _PACE_WAKING if stage == watch.WAKING else _PACE

    async def _failure(self, known: Ticket, notice: Notice | None) -> Failed | None:
        """Return how a request failed; None if no failure is known."""
        failures = self._config.failures
        body = await self._objects.read(failures, known.failure, max_bytes=_MAX_FAILURE)
        if body is not None:
            return Failed(error_of(body.decode(errors="replace")))
        if notice is None or notice.attempt != known.attempt:
            return None
        if not notice.completed:
            return Failed(error_of(notice.reason))
        raise ProviderError("SageMaker reports a result that does not exist in S3.")

    async def _done(self, body: bytes, known: Ticket, request: ProviderRequest) -> Done | Failed:
        answer: EndpointAnswer = await asyncio.to_thread(read_answer, body)
        if answer.error:
            return Failed(answer.error)
        outputs = [
            await bring(
                made, request.scratch / f"made-{place}", self._objects, self._config.outputs
            )
            for place, made in enumerate(answer.made)
        ]
        facts = {**answer.facts, "inference_id": known.attempt}
        return Done(tuple(outputs), facts=facts)


def _input_name(attempt_id: str) -> str:
    return f"{attempt_id}.json"


def _seconds(span: timedelta, limits: tuple[int, int]) -> str:
    least, most = limits
    return str(min(max(int(span.total_seconds()), least), most))

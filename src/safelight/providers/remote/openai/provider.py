"""Provider for OpenAI's image API and compatible servers: one long call, never retried.

Tested against a stub server written from the published protocol, not against OpenAI itself.
"""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from safelight.errors import SafelightError
from safelight.fetch import Fetcher
from safelight.fetch.headers import media_type
from safelight.fetch.wire import Response
from safelight.json_object import JsonObject, as_object
from safelight.providers.errors import ProviderError, ProviderRejected, UnknownOutcome
from safelight.providers.provider import (
    AttemptHandle,
    Canceled,
    Done,
    Failed,
    Model,
    Pending,
    ProviderRequest,
)
from safelight.providers.remote import results
from safelight.providers.remote.api import Api, Lost, whole
from safelight.providers.remote.finished import Finished
from safelight.providers.remote.openai.config import OpenAiConfig
from safelight.providers.remote.openai.harvest import Harvest, has_pictures
from safelight.providers.remote.openai.models import MODELS
from safelight.providers.remote.openai.order import Order, order_of
from safelight.providers.remote.openai.refusal import explain, told_in_success
from safelight.providers.remote.openai.sse import Event, EventTooLarge, events
from safelight.providers.remote.plug import RemotePlug
from safelight.providers.remote.results import Brought
from safelight.providers.remote.untrusted import parse

_VERIFY_S = 15.0
_WAITING = "waiting for the picture"
_FETCHING = "fetching the picture"
_END = "[DONE]"


@dataclass(frozen=True, slots=True)
class _Listening:
    """State that a response is read into."""

    harvest: Harvest
    attempt: AttemptHandle
    partial_images: int
    lost: Lost


class OpenAiProvider(RemotePlug[Model]):
    """One server of the protocol. Its work can be neither polled nor canceled.

    A ticket stands for pictures that the response gave as URLs.
    """

    def __init__(
        self,
        config: OpenAiConfig,
        fetcher: Fetcher,
        models: tuple[Model, ...] = MODELS,
    ) -> None:
        super().__init__(config.name, fetcher, ((model, model) for model in models))
        self._config = config
        self._api = Api(config.base_url, config.all_headers(), explain=explain)
        self._clients = (self._api,)

    async def start(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        model = self._model(request.model)
        order = order_of(request, model, self._config)
        await results.check_room(request.scratch, self._config.max_answer_bytes)
        harvest = Harvest(request.scratch)
        attempt.report(0, _WAITING)
        if failed := await self._call(order, model, attempt, harvest):
            return Failed(failed, usage=harvest.used)
        if harvest.addresses:
            return await self._fetch(harvest, request)
        if not harvest.pictures:
            missing = harvest.missing or "The provider responded without a picture."
            return Failed(ProviderRejected(missing), usage=harvest.used)
        return _done(harvest, Brought(tuple(harvest.pictures), harvest.missing))

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        finished = Finished.read(ticket)
        brought = await results.bring_all(self._fetcher, finished.addresses, request.scratch)
        return Done(brought.files, facts={**finished.facts, **brought.facts}, usage=finished.usage)

    async def verify(self) -> str:
        document = (await self._api.call("GET", "/models", answer_s=_VERIFY_S)).document
        listed = as_object(document)
        names = {
            str(cast("JsonObject", entry).get("id"))
            for entry in cast("list[object]", listed.get("data") or [])
            if isinstance(entry, dict)
        }
        missing = sorted(
            model.id for model in self._models.values() if model.vendor_id not in names
        )
        known = f"the key gives access to {len(names)} models"
        return f"{known}; not among them: {', '.join(missing)}" if missing else known

    async def cancel(self, ticket: str) -> Canceled:
        """Report the usage: a ticket exists only for work that is already done."""
        return Canceled(usage=Finished.read(ticket).usage)

    # --- the call ----------------------------------------------------------------------------

    async def _call(
        self, order: Order, model: Model, attempt: AttemptHandle, harvest: Harvest
    ) -> ProviderError | None:
        """Read the response; return the error that it carries instead of pictures."""
        # OpenAI does not document idempotency keys for images; servers that support them
        # deduplicate, and others ignore the header.
        headers = {"Idempotency-Key": attempt.id}
        answer_s = min(self._config.call_s, model.timeout.total_seconds())
        with order.sending(headers) as sending:
            async with self._api.stream(
                "POST", order.path, sending, pays=True, answer_s=answer_s
            ) as (response, lost):
                if request_id := response.headers.get("x-request-id"):
                    harvest.facts["request_id"] = request_id
                listening = _Listening(harvest, attempt, order.partial_images, lost)
                # A server without streaming sends plain JSON.
                if media_type(response.headers) == "text/event-stream":
                    async with aclosing(response.parts()) as parts:
                        return await self._listen(parts, listening)
                return await self._read(response, listening)

    async def _fetch(self, harvest: Harvest, request: ProviderRequest) -> Done | Pending:
        """Leave URL results to a later poll, which may fail and be repeated.

        Download them now if the ticket would be too large, or if other pictures came as base64.
        """
        ticket = Finished(tuple(harvest.addresses), harvest.facts, harvest.used).write()
        if ticket is not None and not harvest.pictures:
            return Pending(ticket, timedelta(), _FETCHING)
        made = tuple(harvest.pictures)
        try:
            brought = await results.bring_all(self._fetcher, harvest.addresses, request.scratch)
        except SafelightError as error:
            if not made:
                raise UnknownOutcome(
                    f"The results could not be downloaded: {error.detail}"
                ) from error
            return _done(harvest, Brought(made, error.detail))
        return _done(harvest, Brought((*made, *brought.files), harvest.missing or brought.missing))

    async def _read(self, response: Response, listening: _Listening) -> ProviderError | None:
        """Read a JSON response."""
        body = await whole(response, listening.lost, self._config.max_answer_bytes)
        if _is_stream(body):  # some servers do not declare it
            return await self._listen(_one(body), listening)
        document = _document(body, listening.lost)
        del body
        if error := told_in_success(document):
            listening.harvest.hear(document)
            return error
        await listening.harvest.take_answer(document)
        return None

    async def _listen(
        self, parts: AsyncIterable[bytes], listening: _Listening
    ) -> ProviderError | None:
        """Read a stream of server-sent events."""
        heard = 0
        async with aclosing(self._events(parts, listening.lost)) as found:
            async for event in found:
                if event.data == _END:
                    break
                document = _document(event.data, listening.lost)
                if error := told_in_success(document):
                    listening.harvest.hear(document)
                    return error
                kind = str(document.get("type") or event.name)
                if kind.endswith(".partial_image"):
                    heard += 1
                    await _report_partial(listening, heard, document)
                elif kind.endswith(".completed"):
                    await listening.harvest.take(document)
                    # A stream has one picture, and some servers keep the connection open.
                    return None
                elif has_pictures(document):  # the plain response as one event, without a type
                    await listening.harvest.take_answer(document)
                    return None
        raise listening.lost("The provider's response ended without a picture.")

    async def _events(self, parts: AsyncIterable[bytes], lost: Lost) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(events(parts, self._config.max_answer_bytes)) as found:
                async for event in found:
                    yield event
        except EventTooLarge:
            raise lost("An event of the provider's response exceeds the size limit.") from None


async def _one(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _is_stream(body: bytes) -> bool:
    return body[:64].lstrip(b"\xef\xbb\xbf\r\n").startswith((b"data:", b"event:", b":"))


def _done(harvest: Harvest, brought: Brought) -> Done:
    return Done(brought.files, facts={**harvest.facts, **brought.facts}, usage=harvest.used)


async def _report_partial(listening: _Listening, heard: int, document: JsonObject) -> None:
    expected = max(listening.partial_images, heard)
    percent = 100 * heard / (expected + 1)
    picture = await listening.harvest.rough(document, heard)
    listening.attempt.report(percent, f"partial image {heard} of {expected}", picture)


def _document(data: bytes | str, lost: Lost) -> JsonObject:
    document = parse(data)
    if not isinstance(document, dict):
        raise lost("The provider's response cannot be parsed.")
    return cast("JsonObject", document)

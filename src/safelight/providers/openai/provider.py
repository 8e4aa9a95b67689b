"""Asks OpenAI, or a server that speaks its protocol, for pictures: one long call, never repeated.

Tested against a stub server written from the published protocol, not against OpenAI itself.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import httpx2
import orjson

from safelight import telemetry
from safelight.errors import ProviderRejected, SafelightError
from safelight.fetch import Fetcher
from safelight.fetch.headers import media_type
from safelight.providers.api import Api
from safelight.providers.openai.config import OpenAiConfig
from safelight.providers.openai.harvest import Harvest
from safelight.providers.openai.models import MODELS
from safelight.providers.openai.order import Order, order_of
from safelight.providers.openai.refusal import explain, told_in_success
from safelight.providers.openai.sse import Frame, FrameReader, FrameTooLargeError
from safelight.providers.provider import (
    AttemptHandle,
    Done,
    Model,
    NoCallbacks,
    Pending,
    ProviderRequest,
)

_log = telemetry.logger(__name__)

_VERIFY_S = 15.0
_WAITING = "waiting for the picture"
_END = b"[DONE]"
Lost = Callable[[str], SafelightError]


@dataclass(frozen=True, slots=True)
class _Listening:
    """What an answer is read into."""

    harvest: Harvest
    attempt: AttemptHandle
    partial_images: int
    lost: Lost


class OpenAiProvider(NoCallbacks):
    """One server of the protocol. What is begun there cannot be asked for again, nor canceled."""

    def __init__(
        self,
        config: OpenAiConfig,
        fetcher: Fetcher,
        models: tuple[Model, ...] = MODELS,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = config.name
        self._config = config
        self._fetcher = fetcher
        self._models = {model.id: model for model in models}
        self._api = Api(config.base_url, config.all_headers(), explain=explain, transport=transport)

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

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        model = self._models.get(request.model)
        if model is None:
            raise ProviderRejected(f"The provider {self.name} has no model {request.model}.")
        order = order_of(request, model, self._config)
        harvest = Harvest(self._fetcher, request.scratch)
        attempt.report(0, _WAITING)
        try:
            await self._call(order, model, attempt, harvest)
            if not harvest.pictures:
                raise ProviderRejected("The provider answered without a picture.")
        except SafelightError as error:
            if not harvest.pictures:
                raise
            # These are paid, and asking again would pay for them again.
            _log.warning("some pictures did not come", provider=self.name, code=error.code)
            harvest.facts["incomplete"] = error.detail
        return Done(tuple(harvest.pictures), facts=harvest.facts, usage=harvest.used)

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        raise ProviderRejected("This provider keeps nothing that could be checked.")

    async def verify(self) -> str:
        document = (await self._api.call("GET", "/models", answer_s=_VERIFY_S)).document
        listed = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
        names = {
            str(cast("dict[str, Any]", entry).get("id"))
            for entry in cast("list[object]", listed.get("data") or [])
            if isinstance(entry, dict)
        }
        missing = sorted(
            model.id for model in self._models.values() if model.vendor_id not in names
        )
        known = f"the key is good for {len(names)} models"
        return f"{known}; not among them: {', '.join(missing)}" if missing else known

    async def cancel(self, ticket: str) -> None:
        """Do nothing: a canceled `start` hangs up, and more cannot be done."""

    # --- the call ----------------------------------------------------------------------------

    async def _call(
        self, order: Order, model: Model, attempt: AttemptHandle, harvest: Harvest
    ) -> None:
        # OpenAI does not say that it heeds this for pictures; servers that do will not make it
        # twice, and others pass over it.
        headers = {"Idempotency-Key": attempt.id}
        answer_s = min(self._config.call_s, model.timeout.total_seconds())
        with order.sending(headers) as sending:
            async with self._api.stream(
                "POST", order.path, sending, pays=True, answer_s=answer_s
            ) as (response, lost):
                if request_id := response.headers.get("x-request-id"):
                    harvest.facts["request_id"] = request_id
                listening = _Listening(harvest, attempt, order.partial_images, lost)
                # A server that does not stream answers plainly.
                if media_type(response.headers) == "text/event-stream":
                    await self._listen(response, listening)
                else:
                    await self._read(response, listening)

    async def _read(self, response: httpx2.Response, listening: _Listening) -> None:
        """Take a plain answer."""
        body = bytearray()
        async with aclosing(_parts(response, listening.lost)) as parts:
            async for part in parts:
                body += part
                if len(body) > self._config.max_answer_bytes:
                    raise listening.lost("The provider's answer is larger than may be held.")
        document = _document(body, listening.lost)
        body.clear()
        if error := told_in_success(document):
            raise error
        await listening.harvest.take_answer(document)

    async def _listen(self, response: httpx2.Response, listening: _Listening) -> None:
        """Take a stream, one frame at a time."""
        heard = 0
        async with aclosing(self._frames(response, listening.lost)) as frames:
            async for frame in frames:
                if frame.data == _END:
                    break
                document = _document(frame.data, listening.lost)
                if error := told_in_success(document):
                    raise error
                kind = str(document.get("type") or frame.kind)
                if kind.endswith(".partial_image"):
                    heard += 1
                    await _report_partial(listening, heard, document)
                elif kind.endswith(".completed"):
                    await listening.harvest.take(document)
                    return  # only one is asked for as a stream, and some servers do not hang up
        raise listening.lost("The provider's answer ended without a picture.")

    async def _frames(self, response: httpx2.Response, lost: Lost) -> AsyncGenerator[Frame, None]:
        reader = FrameReader(self._config.max_answer_bytes)
        try:
            async with aclosing(_parts(response, lost)) as parts:
                async for part in parts:
                    for frame in reader.feed(part):
                        yield frame
            for frame in reader.close():
                yield frame
        except FrameTooLargeError:
            raise lost("A part of the provider's answer is larger than may be held.") from None


async def _report_partial(listening: _Listening, heard: int, document: dict[str, Any]) -> None:
    expected = max(listening.partial_images, heard)
    percent = 100 * heard / (expected + 1)
    picture = await listening.harvest.rough(document, heard)
    listening.attempt.report(percent, f"partial image {heard} of {expected}", picture)


async def _parts(response: httpx2.Response, lost: Lost) -> AsyncGenerator[bytes, None]:
    try:
        async for part in response.aiter_bytes():
            yield part
    except httpx2.HTTPError as error:
        raise lost("The provider's answer broke off.") from error


def _document(data: bytes | bytearray, lost: Lost) -> dict[str, Any]:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise lost("The provider's answer cannot be read.") from None
    if not isinstance(document, dict):
        raise lost("The provider's answer cannot be read.")
    return cast("dict[str, Any]", document)

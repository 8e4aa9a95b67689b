"""Server of the SageMaker container: one model, one GPU, one request at a time.

SageMaker starts it as `serve`, polls `GET /ping` for readiness, and sends requests to `POST
/invocations`. All settings come from the environment, as SageMaker has no other way.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from safelight import telemetry
from safelight.errors import SafelightError
from safelight.providers.errors import ProviderBadInput
from safelight.providers.local.diffusers.devices import open_device
from safelight.providers.local.diffusers.endpoint import read_request, write_answer, write_error
from safelight.providers.local.diffusers.messages import Failed, Load, Make
from safelight.providers.local.diffusers.models import DiffusersConfig, Dtype, LocalModel, Offload
from safelight.providers.local.diffusers.order import order_of, weights_of
from safelight.providers.local.diffusers.outcome import done, error_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = telemetry.logger(__name__)

_MAX_BODY = 160 * 2**20  # the plug's maximum: 100 MiB of pictures in base64
_LOAD_S = 900.0
_RETRY_S = 5.0
_JSON = "application/json"
_PORT = 8080


class Container:
    """One model on one device, as an ASGI application."""

    def __init__(self, model: LocalModel, config: DiffusersConfig) -> None:
        self._model = model
        self._device = open_device(config, config.devices[0])
        self._one = asyncio.Lock()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        match scope["type"], scope.get("method"), scope.get("path"):
            case "http", "GET", "/ping":
                status, body = (200 if self._is_warm() else 503), b"{}"
            case "http", "POST", "/invocations":
                status, body = await self._invoke(receive)
            case "http", _, _:
                status, body = 404, b"{}"
            case _:
                return
        await _answer(send, status, body)

    def _is_warm(self) -> bool:
        return bool(self._device.warm)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Keep the model warm until shutdown."""
        await receive()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep_warm())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            keeping.cancel()
        await self._device.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _keep_warm(self) -> None:
        while True:
            async with self._one:
                if not self._is_warm():
                    await self._load()
            await asyncio.sleep(_RETRY_S)

    async def _load(self) -> None:
        try:
            answer = await self._device.do(Load(weights_of(self._model)), _unheard, _LOAD_S)
            if isinstance(answer, Failed):
                raise error_of(answer)
        except SafelightError as error:
            _log.error("the model cannot be loaded", code=error.code, detail=error.detail)

    async def _invoke(self, receive: Receive) -> tuple[int, bytes]:
        try:
            body = await _body(receive)
            async with self._one:
                return 200, await self._make(body)
        except SafelightError as error:
            return write_error(error)

    async def _make(self, body: bytes) -> bytes:
        with tempfile.TemporaryDirectory(prefix="safelight-") as folder:
            request = await asyncio.to_thread(read_request, body, self._model, Path(folder))
            order = order_of(request, self._model)
            within_s = self._model.timeout.total_seconds()
            answer = await self._device.do(Make(order), _unheard, within_s)
            made = done(answer, order, self._model, self._device.versions)
            return await asyncio.to_thread(write_answer, made, self._model)


async def _body(receive: Receive) -> bytes:
    held = bytearray()
    while True:
        message = await receive()
        held += message.get("body", b"")
        if len(held) > _MAX_BODY:
            raise ProviderBadInput(f"A request may have at most {_MAX_BODY} bytes.")
        if not message.get("more_body"):
            return bytes(held)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", _JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def container(environment: Mapping[str, str]) -> Container:
    """Return the application configured by the environment; SDXL by default."""
    side = int(environment.get("SAFELIGHT_SIDE", "1024"))
    model = LocalModel(
        id=environment.get("SAFELIGHT_MODEL_NAME", "sdxl"),
        source=Path(environment.get("SAFELIGHT_MODEL_FOLDER", "/opt/ml/model")),
        variant=environment.get("SAFELIGHT_VARIANT", ""),
        size=(side, side),
        multiple=int(environment.get("SAFELIGHT_MULTIPLE", "8")),
        dtype=Dtype(environment.get("SAFELIGHT_DTYPE", "float16")),
        offload=Offload(environment.get("SAFELIGHT_OFFLOAD", "none")),
    )
    device = environment.get("SAFELIGHT_DEVICE", "cuda:0")
    return Container(model, DiffusersConfig((model,), (device,), max_warm=1))


def main() -> None:
    environment = os.environ  # noqa: TID251  see the top
    application = container(environment)
    host = environment.get("SAFELIGHT_HOST", "0.0.0.0")  # noqa: S104  SageMaker connects from outside
    port = int(environment.get("SAFELIGHT_PORT", str(_PORT)))
    uvicorn.run(application, host=host, port=port, access_log=False, lifespan="on")


def _unheard(_percent: float, _stage: str) -> None:
    """Ignore progress, which SageMaker does not support."""


if __name__ == "__main__":
    main()

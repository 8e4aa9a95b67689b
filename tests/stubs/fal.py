"""Stands in for fal: a queue of requests, files that expire, and webhooks signed with Ed25519."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.models import FBX, glb
from tests.stubs.vendor import PRICE_MICROS, Call, Entry, Reply, Vendor

KEY = "key-id:key-secret"
_APP = r"/([\w-]+/[\w.-]+)"
_TRIES = 80
_TRY_AGAIN_S = 0.25


@dataclass
class Work:
    """A request as the stub keeps it; `turns` is how often it still says to be under way."""

    id: str
    endpoint: str
    body: dict[str, Any]
    webhook: str
    turns: int
    cancels: int = 0
    looks: int = 0
    lag: int = 0
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_canceled(self) -> bool:
        return bool(self.cancels) and bool(self.turns) and not self.lag


@dataclass
class FalStub(Vendor):
    """Answers every request with `output`, after as many looks as `turns`.

    With `work_s` it reports by itself: so long after a request its webhook is posted, and the
    status is complete. `failure` is what a request ends with instead of an output, if its body
    `is_bad`. `{url}` in an output stands for the stub's own address.
    """

    picture: bytes
    turns: int = 1
    work_s: float | None = None
    output: Any = field(default_factory=lambda: {"images": [{"url": "{url}/files/0.png"}]})
    failure: dict[str, Any] | None = None
    failure_status: int = 422
    cancel_lag: int = 0  # looks for which what is to be canceled goes on
    page: int = 100
    is_bad: Callable[[Mapping[str, Any]], bool] = lambda _: True
    in_webhook: bool = True
    signer: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    works: dict[str, Work] = field(default_factory=dict[str, Work])
    reported: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        super().__init__()
        self.published = [self.signer]
        self._reporting: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(32)
        self.route("POST", r"/(.+)", self._submit)
        self.route("GET", _APP + r"/requests/([\w-]+)/status", self._status)
        self.route("GET", _APP + r"/requests/([\w-]+)", self._result)
        self.route("PUT", _APP + r"/requests/([\w-]+)/cancel", self._cancel)
        self.route("GET", r"/files/.*\.png", lambda _: Reply(200, self.picture))
        self.route("GET", r"/files/.*\.glb", lambda _: Reply(200, glb()))
        self.route("GET", r"/files/.*\.fbx", lambda _: Reply(200, FBX))
        self.route("GET", "/keys", self._keys)
        self.route("GET", "/platform/v1/models/requests/by-endpoint", self._listed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        async with super().running(), httpx2.AsyncClient(trust_env=False, timeout=30) as self._http:
            yield self
            for task in self._reporting:
                task.cancel()

    @property
    def keys_url(self) -> str:
        return f"{self.url}/keys"

    @property
    def platform_url(self) -> str:
        return f"{self.url}/platform/v1"

    def ledger(self) -> list[Entry]:
        """Return every request; canceled and failed ones cost nothing."""
        return [
            Entry(work.id, work.body.get("prompt", ""), work.cancels, self._cost(work))
            for work in self.works.values()
        ]

    def _cost(self, work: Work) -> int | None:
        if work.is_canceled:
            return 0
        if work.turns:
            return None
        return 0 if self.failure is not None and self.is_bad(work.body) else PRICE_MICROS

    @property
    def orders(self) -> list[Call]:
        """Every call that money was, or could have been, spent by."""
        return [call for call in self.calls if call.method == "POST"]

    @property
    def looks(self) -> list[Call]:
        return self.called("GET", _APP + r"/requests/([\w-]+)/status")

    def finish(self, request_id: str) -> None:
        """Let a request be done at once."""
        self.works[request_id].turns = 0

    def told(self, work: Work) -> dict[str, Any]:
        """Return the body of a request's webhook."""
        common = {"request_id": work.id, "gateway_request_id": work.id}
        if work.is_canceled:
            failure = {"error": "Request was cancelled", "error_type": "request_cancelled"}
            return common | {"status": "ERROR", "payload": None} | failure
        if self.failure is not None and self.is_bad(work.body):
            words = {"error": "Unexpected status code", "payload": self.failure}
            return common | {"status": "ERROR"} | words
        if not self.in_webhook:
            return common | {"status": "OK", "payload": None, "payload_error": "too large"}
        return common | {"status": "OK", "payload": self.made()}

    def made(self) -> Any:
        return json.loads(json.dumps(self.output).replace("{url}", self.url))

    def sign(
        self, body: bytes, at: float, *, request_id: str = "req_1", user: str = "user_1"
    ) -> dict[str, str]:
        """Return the headers that prove a webhook."""
        digest = hashlib.sha256(body).hexdigest()
        message = "\n".join((request_id, user, str(int(at)), digest)).encode()
        return {
            "x-fal-webhook-request-id": request_id,
            "x-fal-webhook-user-id": user,
            "x-fal-webhook-timestamp": str(int(at)),
            "x-fal-webhook-signature": self.signer.sign(message).hex(),
        }

    async def report(self, work: Work) -> None:
        """Post a request's webhook, a few times if need be, as fal does."""
        body = encode(self.told(work))
        async with self._slots:
            for _ in range(_TRIES):
                headers = self.sign(body, time.time(), request_id=work.id)
                try:
                    answer = await self._http.post(work.webhook, content=body, headers=headers)
                except httpx2.HTTPError:
                    await asyncio.sleep(_TRY_AGAIN_S)
                    continue
                self.reported.append(answer.status_code)
                if answer.is_success:
                    return
                await asyncio.sleep(_TRY_AGAIN_S)

    async def _work(self, work: Work) -> None:
        assert self.work_s is not None
        await asyncio.sleep(self.work_s)
        if not work.cancels:
            work.turns = 0
        if work.webhook:
            await self.report(work)

    def _submit(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Key {KEY}":
            return Reply(
                401, {"detail": "Authentication is required", "error_type": "unauthorized"}
            )
        webhook = call.query.get("fal_webhook", "")
        work = Work(f"fal-{len(self.works) + 1}", call.match[0], call.json, webhook, self.turns)
        self.works[work.id] = work
        if self.work_s is not None:
            task = asyncio.get_running_loop().create_task(self._work(work))
            self._reporting.add(task)
            task.add_done_callback(self._reporting.discard)
        elsewhere = "https://elsewhere.example/requests"  # nobody should follow these
        return Reply(
            200,
            {
                "status": "IN_QUEUE",
                "request_id": work.id,
                "queue_position": 0,
                "response_url": f"{elsewhere}/{work.id}",
                "status_url": f"{elsewhere}/{work.id}/status",
                "cancel_url": f"{elsewhere}/{work.id}/cancel",
            },
        )

    def _find(self, call: Call) -> Work | None:
        work = self.works.get(call.match[1])
        return work if work and work.endpoint.startswith(call.match[0]) else None

    def _status(self, call: Call) -> Reply:
        work = self._find(call)
        if work is None:
            return Reply(404, {"detail": "Request not found"})
        work.looks += 1
        if work.cancels and work.lag:
            work.lag -= 1
            return Reply(202, {"status": "IN_PROGRESS", "logs": None})
        if work.is_canceled:
            failure = {"error": "Request was cancelled", "error_type": "request_cancelled"}
            return Reply(200, {"status": "COMPLETED", "logs": None, **failure})
        if work.turns and self.work_s is None:
            work.turns -= 1
        elif not work.turns:
            ended = {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 1.5}}
            return Reply(200, ended)
        if work.looks == 1:
            return Reply(202, {"status": "IN_QUEUE", "queue_position": 2})
        return Reply(202, {"status": "IN_PROGRESS", "logs": None})

    def _result(self, call: Call) -> Reply:
        work = self._find(call)
        if work is None:
            return Reply(404, {"detail": "Request not found"})
        if work.turns:
            return Reply(400, {"detail": "Request is still in progress"})
        if self.failure is not None and self.is_bad(work.body):
            return Reply(self.failure_status, self.failure)
        return Reply(200, self.made())

    def _cancel(self, call: Call) -> Reply:
        work = self._find(call)
        if work is None:
            return Reply(404, {"status": "NOT_FOUND"})
        if not work.turns or work.is_canceled:
            return Reply(400, {"status": "ALREADY_COMPLETED"})
        work.cancels += 1
        work.lag = self.cancel_lag if work.cancels == 1 else work.lag
        return Reply(202, {"status": "CANCELLATION_REQUESTED"})

    def _listed(self, call: Call) -> Reply:
        first = int(call.query.get("cursor", 0))
        ours = [w for w in self.works.values() if w.endpoint == call.query["endpoint_id"]]
        items = [
            {
                "request_id": work.id,
                "endpoint_id": work.endpoint,
                "sent_at": work.sent_at.isoformat(),
                "json_input": work.body,
            }
            for work in ours[first : first + self.page]
        ]
        more = len(ours) > first + self.page
        cursor = str(first + self.page) if more else None
        return Reply(200, {"items": items, "next_cursor": cursor, "has_more": more})

    def _keys(self, _: Call) -> Reply:
        return Reply(200, {"keys": [jwk(key) for key in self.published]})


def jwk(key: Ed25519PrivateKey) -> Mapping[str, str]:
    """Return the public half as a JSON Web Key."""
    text = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "x": text, "kid": "1"}


def encode(told: Mapping[str, Any]) -> bytes:
    """Return a webhook's body."""
    return json.dumps(told).encode()

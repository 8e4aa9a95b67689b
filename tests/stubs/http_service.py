"""Stands in for a company's own picture service, in each shape that such a service may have."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from tests.stubs.vendor import PRICE_MICROS, Call, Entry, Reply, Vendor

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class ServiceStub(Vendor):
    """Draws `picture` under these routes: `/bytes`, `/urls`, `/base64`, `/names` and `/jobs`.

    A job is at `/jobs/ID`, with its file there when done or at `/jobs/ID/file`; `turns` is how
    often it says to be running first. What is to be canceled goes on for as many looks as
    `cancel_lag`. The job of an order is found at `/orders/KEY`, by its idempotency key.
    """

    def __init__(self, picture: bytes) -> None:
        super().__init__()
        self.picture = picture
        self.turns = 1
        self.ending: dict[str, Any] = {"state": "done"}
        self.jobs: dict[str, int] = {}
        self.orders: list[bytes] = []  # what the jobs were asked for
        self.keys: dict[str, str] = {}  # the jobs by their orders' idempotency keys
        self.cancels: list[str] = []  # the jobs that were to be canceled
        self.cancel_lag = 0
        self.route("*", "/bytes", lambda _: Reply(200, picture, {"Content-Type": "image/png"}))
        self.route("*", "/urls", self._urls)
        self.route("*", "/base64", self._base64)
        self.route("*", "/names", lambda _: Reply(200, {"names": ["out/a b.png"]}))
        self.route("POST", "/jobs", self._accept)
        self.route("GET", "/orders/([^/]+)", self._find)
        self.route("GET", "/jobs/([^/]+)", self._status)
        self.route("GET", "/jobs/([^/]+)/file", self._file)
        self.route("DELETE", "/jobs/([^/]+)", self._cancel)
        self.route("GET", r"/files/.*\.png", lambda _: Reply(200, picture))

    @property
    def spelled(self) -> str:
        return base64.b64encode(self.picture).decode()

    def made(self) -> dict[str, Any]:
        """Return what an answer with two addresses says."""
        return {"images": [{"url": f"{self.url}/files/{place}.png"} for place in range(2)]}

    @property
    def canceled(self) -> list[str]:
        """The jobs that were stopped."""
        return [ticket for ticket in self.jobs if self._is_canceled(ticket)]

    def ledger(self) -> list[Entry]:
        """Return every job; canceled and failed ones cost nothing."""
        return [
            Entry(
                ticket,
                json.loads(order).get("prompt", ""),
                self.cancels.count(ticket),
                self._cost(ticket),
            )
            for ticket, order in zip(self.jobs, self.orders, strict=True)
        ]

    def _cost(self, ticket: str) -> int | None:
        if self._is_canceled(ticket) or self.ending.get("state") == "failed":
            return 0
        return None if self.jobs[ticket] else PRICE_MICROS

    def _is_canceled(self, ticket: str) -> bool:
        return bool(self.jobs[ticket]) and self.cancels.count(ticket) > self.cancel_lag

    def finish(self, ticket: str) -> None:
        """Let a job be done at once."""
        self.jobs[ticket] = 0

    def _urls(self, _: Call) -> Reply:
        return Reply(200, {**self.made(), "meta": {"seed": 7, "model": "v2"}})

    def _base64(self, _: Call) -> Reply:
        uri = f"data:image/png;base64,{self.spelled}"
        return Reply(200, {"data": [{"b64": self.spelled}, {"b64": None}, {"b64": uri}]})

    def _accept(self, call: Call) -> Reply:
        ticket = f"job-{len(self.jobs) + 1}"
        self.orders.append(call.body)
        self.jobs[ticket] = self.turns
        self.keys[call.headers.get("idempotency-key", "")] = ticket
        return Reply(202, {"id": ticket, "state": "queued"})

    def _status(self, call: Call) -> Reply:
        ticket = call.match[0]
        if ticket not in self.jobs:
            return Reply(404, {"error": "unknown job"})
        if self._is_canceled(ticket):
            return Reply(200, {"id": ticket, "state": "canceled"})
        if self.jobs[ticket]:
            self.jobs[ticket] -= ticket not in self.cancels
            return Reply(200, {"id": ticket, "state": "Running", "done": 0.25})
        return Reply(200, self.told(ticket))

    def told(self, ticket: str) -> dict[str, Any]:
        """Return what the service says of a job at its end, asked or by itself."""
        return {"id": ticket, "meta": {"seed": 7}, **self.made(), **self.ending}

    def _file(self, call: Call) -> Reply:
        if call.match[0] not in self.jobs:
            return Reply(404)
        return Reply(200, self.picture, {"Content-Type": "image/png"})

    def _cancel(self, call: Call) -> Reply:
        ticket = call.match[0]
        if ticket not in self.jobs or not self.jobs[ticket] or self._is_canceled(ticket):
            return Reply(409, {"error": "it has ended"})
        self.cancels.append(ticket)
        return Reply(204 if self._is_canceled(ticket) else 202)

    def _find(self, call: Call) -> Reply:
        ticket = self.keys.get(call.match[0])
        if ticket is None:
            return Reply(404, {"attempt": call.match[0]})
        return Reply(200, {"id": ticket, "state": "running", "attempt": call.match[0]})


def sign(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    """Return the headers of Standard Webhooks, of two keys as while they are changed."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"msg_1.{int(at)}.".encode() + body
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    old = base64.b64encode(bytes(32)).decode()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1,{old} v1,{digest}",
    }


def encode(told: Mapping[str, Any]) -> bytes:
    """Return a callback's body."""
    return json.dumps(told).encode()

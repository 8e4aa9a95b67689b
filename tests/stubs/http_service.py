"""Stands in for a company's own picture service, in each shape that such a service may have."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from tests.stubs.vendor import Call, Reply, Vendor

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class ServiceStub(Vendor):
    """Draws `picture` under these routes: `/bytes`, `/urls`, `/base64`, `/names` and `/jobs`.

    A job is at `/jobs/ID`, with its file there when done or at `/jobs/ID/file`; `turns` is how
    often it says to be running first.
    """

    def __init__(self, picture: bytes) -> None:
        super().__init__()
        self.picture = picture
        self.turns = 1
        self.ending: dict[str, Any] = {"state": "done"}
        self.jobs: dict[str, int] = {}
        self.orders: list[bytes] = []  # what the jobs were asked for
        self.canceled: list[str] = []
        self.route("*", "/bytes", lambda _: Reply(200, picture, {"Content-Type": "image/png"}))
        self.route("*", "/urls", self._urls)
        self.route("*", "/base64", self._base64)
        self.route("*", "/names", lambda _: Reply(200, {"names": ["out/a b.png"]}))
        self.route("POST", "/jobs", self._accept)
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
        return Reply(202, {"id": ticket, "state": "queued"})

    def _status(self, call: Call) -> Reply:
        ticket = call.match[0]
        if ticket not in self.jobs:
            return Reply(404, {"error": "unknown job"})
        if self.jobs[ticket]:
            self.jobs[ticket] -= 1
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
        if ticket not in self.jobs or ticket in self.canceled:
            return Reply(409, {"error": "it has ended"})
        self.canceled.append(ticket)
        return Reply(204)


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

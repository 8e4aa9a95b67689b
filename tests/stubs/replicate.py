"""Stands in for Replicate's API: takes predictions, turns them over, and keeps uploads."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.stubs.vendor import PRICE_MICROS, Call, Entry, Reply, Vendor, refuse

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
GLB = b"glTF\x02\x00\x00\x00" + bytes(56)
PREDICTIONS = r"/v1/(?:(models|deployments)/([^/]+/[^/]+)/)?predictions"


@dataclass
class Work:
    """A prediction as the stub keeps it; `turns` is how often it still says to be running."""

    id: str
    order: dict[str, Any]
    turns: int
    names: dict[str, Any] = field(default_factory=dict[str, Any])  # of its model
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancels: int = 0


class ReplicateStub(Vendor):
    """Makes `output` of everything, after as many looks as `turns`; `ending` overrides its end.

    `{url}` in an output stands for the stub's own address. `schemas` are the components of each
    model's description, by `owner/name`. What is canceled goes on for as many requests to cancel
    as `cancel_lag`, and lists of predictions have pages of `page`.
    """

    def __init__(self, picture: bytes) -> None:
        super().__init__()
        self.picture = picture
        self.turns = 1
        self.output: Any = "{url}/made/0.png"
        self.ending: dict[str, Any] = {}
        self.midway: dict[str, Any] = {"status": "processing", "logs": None}
        self.works: dict[str, Work] = {}
        self.uploads: dict[str, bytes] = {}
        self.cancel_lag = 0
        self.page = 100
        self.schemas: dict[str, dict[str, Any]] = {}
        self.secret = SECRET
        self.route("POST", PREDICTIONS, self._create)
        self.route("GET", "/v1/predictions", self._list)
        self.route("GET", "/v1/predictions/([^/]+)", self._get)
        self.route("POST", "/v1/predictions/([^/]+)/cancel", self._cancel)
        self.route("POST", "/v1/files", self._upload)
        self.route("GET", "/v1/models/([^/]+/[^/]+)", self._model)
        self.route("GET", f"/v1/models/([^/]+/[^/]+)/versions/{VERSION}", self._version)
        self.route("GET", "/v1/deployments/([^/]+/[^/]+)", self._deployment)
        self.route("GET", "/v1/webhooks/default/secret", lambda _: Reply(200, {"key": self.secret}))
        self.route("GET", r"/made/.*\.png", lambda _: Reply(200, self.picture))
        self.route("GET", r"/made/.*\.glb", lambda _: Reply(200, GLB))
        self.route("GET", r"/made/.*\.mp4", lambda _: Reply(200, b"\0\0\0\x18ftypmp42" + bytes(60)))

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def orders(self) -> list[Call]:
        """Every call that money was, or could have been, spent by."""
        return self.called("POST", PREDICTIONS)

    @property
    def canceled(self) -> list[str]:
        """The predictions that were stopped."""
        return [work.id for work in self.works.values() if self._is_canceled(work)]

    def ledger(self) -> list[Entry]:
        """Return every prediction; one that is canceled has cost the half."""
        return [
            Entry(work.id, work.order["input"].get("prompt", ""), work.cancels, self._cost(work))
            for work in self.works.values()
        ]

    def _cost(self, work: Work) -> int | None:
        if self._is_canceled(work):
            return PRICE_MICROS // 2
        return None if work.turns else PRICE_MICROS

    def _is_canceled(self, work: Work) -> bool:
        return bool(work.turns) and work.cancels > self.cancel_lag

    def finish(self, ticket: str) -> dict[str, Any]:
        """Return what the stub says of a prediction at its end, which is now."""
        work = self.works.setdefault(ticket, Work(ticket, {}, 0))
        work.turns = 0
        return self.told(work)

    def told(self, work: Work) -> dict[str, Any]:
        """Return a prediction as it stands."""
        common = {
            "id": work.id,
            "model": "black-forest-labs/flux-schnell",
            "version": "hidden",
            **work.names,
            "input": work.order.get("input", {}),
            "urls": {"get": f"{self.base_url}/predictions/{work.id}"},
            "created_at": work.created_at.isoformat().replace("+00:00", "Z"),
        }
        if self._is_canceled(work):
            ended = {"status": "canceled", "output": None, "error": None}
            return common | ended | {"metrics": {"predict_time": 0.75}}
        if work.turns:
            return common | {"output": None, "error": None, **self.midway}
        return common | {
            "status": "succeeded",
            "output": self._addressed(self.output),
            "error": None,
            "logs": "Using seed: 4711\n100%|##########| 4/4",
            "metrics": {"predict_time": 1.5, "total_time": 2.25},
            "completed_at": "2026-11-23T09:00:02Z",
            **self.ending,
        }

    def describe(self, name: str, **rules: Any) -> None:
        """Let a model describe its input."""
        required = [field for field, rule in rules.items() if rule.pop("required", False)]
        self.schemas[name] = {
            "Input": {"type": "object", "properties": rules, "required": required},
            "Output": {"type": "string", "format": "uri"},
        }

    def _addressed(self, output: Any) -> Any:
        return json.loads(json.dumps(output).replace("{url}", self.url))

    def _create(self, call: Call) -> Reply:
        order = call.json
        if not isinstance(order.get("input"), dict):
            return problem(422, "Input validation failed", "- input is required")
        if call.path == "/v1/predictions" and not isinstance(order.get("version"), str):
            return problem(422, "Input validation failed", "- version is required")
        kind, name = call.match
        names = {"models": {"model": name}, "deployments": {"deployment": name}}.get(kind)
        version = {"version": order.get("version")}
        work = Work(f"pred{len(self.works) + 1}", order, self.turns, names or version)
        self.works[work.id] = work
        return Reply(201, self.told(work) | {"status": "starting", "logs": ""})

    def _list(self, call: Call) -> Reply:
        """Answer as the filters by time were not known: nobody may rely on them."""
        first = int(call.query.get("cursor", 0))
        newest = list(reversed(self.works.values()))
        following = f"{self.base_url}/predictions?cursor={first + self.page}"
        return Reply(
            200,
            {
                "previous": None,
                "next": following if len(newest) > first + self.page else None,
                "results": [self.told(work) for work in newest[first : first + self.page]],
            },
        )

    def _get(self, call: Call) -> Reply:
        work = self.works.get(call.match[0])
        if work is None:
            return problem(404, "", "The requested resource could not be found.")
        told = self.told(work)
        if not work.cancels:
            work.turns = max(work.turns - 1, 0)
        return Reply(200, told)

    def _cancel(self, call: Call) -> Reply:
        work = self.works.get(call.match[0])
        if work is None:
            return problem(404, "", "The requested resource could not be found.")
        if not work.turns:
            return problem(422, "", "It has ended.")
        work.cancels += 1
        return Reply(200, self.told(work))

    def _upload(self, call: Call) -> Reply:
        head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
        parts = list(BytesParser(policy=HTTP).parsebytes(head + call.body).iter_parts())
        assert [part.get_param("name", header="content-disposition") for part in parts] == [
            "content"
        ]
        content = parts[0].get_payload(decode=True)
        assert isinstance(content, bytes)
        name = f"file{len(self.uploads) + 1}"
        self.uploads[name] = content
        file = {
            "id": name,
            "name": parts[0].get_filename(),
            "content_type": parts[0].get_content_type(),
            "size": len(content),
            "urls": {"get": f"{self.base_url}/files/{name}"},
        }
        return Reply(201, file)

    def _model(self, call: Call) -> Reply:
        if call.match[0] not in self.schemas:
            return problem(404, "", "The requested resource could not be found.")
        return Reply(200, {"name": call.match[0], "latest_version": self._described(call.match[0])})

    def _version(self, call: Call) -> Reply:
        if call.match[0] not in self.schemas:
            return problem(404, "", "The requested resource could not be found.")
        return Reply(200, self._described(call.match[0]))

    def _deployment(self, call: Call) -> Reply:
        release = {"number": 3, "model": call.match[0], "version": VERSION}
        return Reply(200, {"name": "mine", "current_release": release})

    def _described(self, name: str) -> dict[str, Any]:
        schema = {"openapi": "3.0.2", "components": {"schemas": self.schemas[name]}}
        return {"id": VERSION, "cog_version": "0.16", "openapi_schema": schema}


def problem(status: int, title: str, detail: str, **more: Any) -> Reply:
    """Return a problem document."""
    told = {"title": title, "detail": detail, "status": status, **more}
    return Reply(status, told, {"Content-Type": "application/problem+json"})


def refusal(status: int, detail: str, title: str = "", **more: Any) -> Any:
    """Return a fault that answers with a problem document, the work undone."""
    return refuse(status, problem(status, title, detail, **more).body)


def sign(body: bytes, at: float, secret: str = SECRET, message: str = "msg_1") -> dict[str, str]:
    """Return the headers of Standard Webhooks, among signatures of other keys and versions."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message}.{int(at)}.".encode() + body
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    other = base64.b64encode(bytes(32)).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1a,{other} v1,{other} v1,{digest}",
    }


def encode(told: Mapping[str, Any]) -> bytes:
    """Return a callback's body."""
    return json.dumps(told).encode()

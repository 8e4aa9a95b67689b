"""Stands in for OpenAI's image API: draws one picture for whatever is asked, and remembers it."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Self

from tests.stubs.vendor import PRICE_MICROS, Call, Entry, Fault, Reply, Vendor, refuse

GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"
USAGE = {
    "input_tokens": 110,
    "output_tokens": 4000,
    "total_tokens": 4110,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 100},
}


@dataclass(frozen=True)
class Sent:
    """A file of a form."""

    field: str
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Asked:
    """One request for pictures, understood."""

    path: str
    fields: dict[str, Any]
    files: list[Sent] = field(default_factory=list[Sent])


class OpenAiStub(Vendor):
    """Answers with `picture`; `streams` and `gives_addresses` say which way it does."""

    def __init__(self, picture: bytes) -> None:
        super().__init__()
        self.picture = picture
        self.rough = picture
        self.streams = True
        self.gives_addresses = False
        self.usage: dict[str, Any] | None = USAGE
        self.asked: list[Asked] = []
        self.route("POST", GENERATIONS, self._generate)
        self.route("POST", EDITS, self._edit)
        self.route("GET", "/made.png", lambda _: Reply(200, self.picture))

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def posts(self) -> int:
        """How often money was spent, or could have been."""
        return sum(call.method == "POST" for call in self.calls)

    def ledger(self) -> list[Entry]:
        """Return every order that was drawn: each is charged, and none can be canceled."""
        return [
            Entry(str(number), asked.fields["prompt"], 0, PRICE_MICROS)
            for number, asked in enumerate(self.asked)
        ]

    def complain(self, status: int, code: str, message: str = "No.", **headers: str) -> None:
        """Answer the next call with OpenAI's error object."""
        self.fault("POST", ".*", refuse(status, error(code, message), **headers))

    def say(self, fault: Fault) -> None:
        """Let the next call go wrong."""
        self.fault("POST", ".*", fault)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        async with self.running() as running:
            yield running

    def _generate(self, call: Call) -> Reply:
        return self._draw(Asked(call.path, call.json), "image_generation")

    def _edit(self, call: Call) -> Reply:
        asked = Asked(call.path, *_form(call))
        names = {file.field for file in asked.files}
        if not names & {"image", "image[]"}:
            return Reply(400, error("missing_required_parameter", "image is required"))
        return self._draw(asked, "image_edit")

    def _draw(self, asked: Asked, event: str) -> Reply:
        self.asked.append(asked)
        told = {"x-request-id": "req_stub"}
        if self.streams and asked.fields.get("stream") in (True, "true"):
            partials = int(asked.fields.get("partial_images", 0))
            text = stream(event, self.picture, [self.rough] * partials, self.usage)
            return Reply(200, text, told | {"Content-Type": "text/event-stream; charset=utf-8"})
        count = int(asked.fields.get("n", 1))
        made = {"url": f"{self.url}/made.png"} if self.gives_addresses else spelled(self.picture)
        entries = [made | {"revised_prompt": f"revised {number}"} for number in range(count)]
        body = {"created": 1, "data": entries, "size": "1024x1024", "quality": "low"}
        return Reply(200, body | ({"usage": self.usage} if self.usage else {}), told)


def stream(event: str, picture: bytes, partials: list[bytes], usage: dict[str, Any] | None) -> str:
    """Return the events of one picture, with the comments that keep a connection alive."""
    about = {"created_at": 1, "size": "1024x1024", "quality": "low", "output_format": "png"}
    frames = [
        ": keepalive\n\n",
        *(
            frame(
                f"{event}.partial_image",
                {**about, **spelled(rough), "partial_image_index": index},
            )
            for index, rough in enumerate(partials)
        ),
        frame(f"{event}.completed", {**about, **spelled(picture), "usage": usage}),
    ]
    return "".join(frames)


def frame(kind: str, data: dict[str, Any]) -> str:
    """Return one event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"


def error(code: str, message: str = "No.", kind: str = "") -> dict[str, Any]:
    """Return OpenAI's error object."""
    return {"error": {"message": message, "type": kind or code, "param": None, "code": code}}


def spelled(picture: bytes) -> dict[str, Any]:
    """Return the picture as answers hold it."""
    return {"b64_json": base64.b64encode(picture).decode()}


def _form(call: Call) -> tuple[dict[str, Any], list[Sent]]:
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + call.body)
    fields: dict[str, Any] = {}
    files: list[Sent] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if file_name := part.get_filename():
            files.append(Sent(str(name), file_name, part.get_content_type(), content))
        else:
            fields[str(name)] = content.decode()
    return fields, files

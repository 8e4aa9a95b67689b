"""A scriptable provider for tests, benches and chaos, with a ledger of its own.

The script stands in the job's params. The ledger is a file of one line a call, so that it can be
held against the job's history even after every process has been killed.
"""

import asyncio
import json
import os
import struct
import time
import zlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from safelight import errors, ids
from safelight.providers.price import FREE
from safelight.providers.provider import (
    AttemptHandle,
    Done,
    Kind,
    Lane,
    MediaFile,
    Model,
    NoCallbacks,
    Pending,
    ProviderRequest,
)

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "seconds": {"type": "number", "minimum": 0, "maximum": 3600, "default": 0},
        "pending": {"type": "boolean", "default": False},
        "outputs": {"type": "integer", "minimum": 0, "maximum": 8, "default": 1},
        "errors": {"type": "array", "items": {"type": "string"}, "maxItems": 16, "default": []},
        "retry_after_s": {"type": "number", "minimum": 0},
        "seed": {"type": "integer"},
    },
}


class FakeProvider(NoCallbacks):
    """Does what a job's params say: sleep, park behind a ticket, fail by code, or answer.

    `errors` lists codes of safelight.errors: the n-th call of a job raises the n-th, and calls
    after the last succeed.
    """

    name = "fake"

    def __init__(self, ledger: Path | None = None) -> None:
        self._ledger = ledger
        self._calls: dict[str, int] = {}  # by scratch folder's job, bounded by the jobs of a test

    def capabilities(self) -> tuple[Model, ...]:
        shared = {
            "provider": self.name,
            "description": "Does what its params say.",
            "kinds": frozenset(Kind),
            "params_schema": _SCHEMA,
            "timeout": timedelta(seconds=600),
            "max_inputs": 16,
            "price": FREE,
        }
        return (
            Model(id="fake", title="Fake", lane=Lane.REMOTE, repeatable=True, **shared),
            Model(id="fake-paid", title="Fake, paid", lane=Lane.REMOTE, **shared),
        )

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        params = request.params
        self._write("start", attempt.id, request.prompt)
        attempt.report(10, "pretending")
        job = request.prompt or attempt.id
        self._calls[job] = call = self._calls.get(job, 0) + 1
        if call <= len(params["errors"]):
            raise _error(params["errors"][call - 1], params.get("retry_after_s"))
        if params["pending"]:
            ticket = f"{time.time() + params['seconds']:.3f}-{ids.secret(60)}"
            self._write("ticket", attempt.id, request.prompt, ticket)
            return Pending(ticket, timedelta(seconds=max(params["seconds"], 0.05)))
        await asyncio.sleep(params["seconds"])
        return self._done(request, attempt)

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        self._write("check", attempt.id, request.prompt, ticket)
        left = _due(ticket) - time.time()
        if left > 0:
            return Pending(ticket, timedelta(seconds=left))
        return self._done(request, attempt)

    async def cancel(self, ticket: str) -> None:
        self._write("cancel", "", "", ticket)

    def _done(self, request: ProviderRequest, attempt: AttemptHandle) -> Done:
        made: list[MediaFile] = []
        for number in range(request.params["outputs"]):
            path = request.scratch / f"{number}.png"
            path.write_bytes(_pixel())
            made.append(MediaFile(path, "image/png"))
        self._write("end", attempt.id, request.prompt)
        return Done(tuple(made))

    def _write(self, what: str, attempt_id: str, prompt: str, ticket: str = "") -> None:
        if self._ledger is None:
            return
        entry = {"what": what, "attempt": attempt_id, "prompt": prompt, "at": time.time()}
        line = json.dumps(entry | ({"ticket": ticket} if ticket else {}))
        handle = os.open(self._ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode() + b"\n")
        finally:
            os.close(handle)


def _due(ticket: str) -> float:
    """Return when the ticket's work is done, which it tells, so that any process can be asked."""
    try:
        return float(ticket.partition("-")[0])
    except ValueError:
        raise errors.ProviderRejected("There is no such ticket.") from None


def _pixel() -> bytes:
    """Return a PNG of one red pixel (https://www.w3.org/TR/png-3/)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    row = zlib.compress(bytes([0, 255, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def _error(code: str, retry_after_s: float | None) -> errors.SafelightError:
    after = None if retry_after_s is None else timedelta(seconds=retry_after_s)
    return errors.codes()[code](f"The script says {code}.", retry_after=after)

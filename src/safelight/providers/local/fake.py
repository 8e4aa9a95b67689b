"""Scriptable providers for tests, benches and chaos, with a ledger shared by all processes.

The script is in the job's params. The ledger is a file with one line per call, so it can be
compared with the job's history even after every process was killed.
"""

import asyncio
import json
import math
import os
import struct
import time
import zlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from safelight import errors, ids
from safelight.json_object import JsonObject
from safelight.providers.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderWorkFailed,
    UnknownOutcome,
)
from safelight.providers.price import FREE
from safelight.providers.provider import (
    ABSENT,
    Absent,
    AttemptHandle,
    Canceled,
    Done,
    Failed,
    Kind,
    Lane,
    LostStart,
    MediaFile,
    Model,
    NoCallbacks,
    Pending,
    ProviderRequest,
)

ROTATED = "fake-key-rotated"
"""While a file of this name is beside the ledger, every call is refused, as with a rotated key."""

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "seconds": {"type": "number", "minimum": 0, "maximum": 3600, "default": 0},
        "pending": {"type": "boolean", "default": False},
        "outputs": {"type": "integer", "minimum": 0, "maximum": 8, "default": 1},
        "errors": {"type": "array", "items": {"type": "string"}, "maxItems": 16, "default": []},
        "retry_after_s": {"type": "number", "minimum": 0},
        "verdict": {"type": "string"},
        "cost_micros": {"type": "integer", "minimum": 0},
        "slow_cancel": {"type": "boolean", "default": False},
        "seed": {"type": "integer"},
    },
}


class FakeProvider(NoCallbacks):
    """Follows the script in a job's params: sleep, return a ticket, fail, or succeed.

    `errors` lists error codes: the n-th start of a job raises the n-th, and later starts succeed;
    `unknown_outcome` is a start that is accepted and whose response is lost. `verdict` is the code
    that the work fails with, `cost_micros` its final cost. The first cancel request of a
    `slow_cancel` is only accepted, not confirmed.
    """

    name = "fake"

    def __init__(self, ledger: Path | None = None) -> None:
        self._ledger = _Ledger(ledger)
        self._rotated = None if ledger is None else ledger.with_name(ROTATED)
        self._calls: dict[str, int] = {}  # starts by job; bounded, as it only runs in tests

    def capabilities(self) -> tuple[Model, ...]:
        return (
            self._model("fake", "Fake", repeatable=True),
            self._model("fake-paid", "Fake, paid"),
        )

    async def start(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        self._let_in()
        params = request.params
        error = self._scripted(request, attempt)
        if error is not None and not isinstance(error, UnknownOutcome):
            self._write(("start", "refuse"), attempt.id, request.prompt)
            raise error
        attempt.report(10, "pretending")
        if params["pending"]:
            # All processes of a machine share this clock. Rounded down: work of no length is over.
            due_ms = math.floor((time.monotonic() + params["seconds"]) * 1000)
            ticket = f"{due_ms / 1000:.3f}-{ids.secret(60)}"
            self._write(
                ("start", "ticket"),
                attempt.id,
                request.prompt,
                ticket=ticket,
                cost_micros=params.get("cost_micros", 0),
                slow_cancel=params.get("slow_cancel", False),
            )
            if error is not None:
                raise error
            return Pending(ticket, timedelta(seconds=max(params["seconds"], 0.05)))
        self._write(("start",), attempt.id, request.prompt)
        if error is not None:
            raise error
        await asyncio.sleep(params["seconds"])
        return self._end(request, attempt)

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        self._let_in()
        self._write(("check",), attempt.id, request.prompt, ticket=ticket)
        if self._ledger.is_cut_short(ticket):
            return Failed(ProviderWorkFailed("It was canceled."), cost_micros=0)
        left = _due(ticket) - time.monotonic()
        if left > 0:
            return Pending(ticket, timedelta(seconds=left))
        return self._end(request, attempt)

    async def cancel(self, ticket: str) -> Canceled:
        self._let_in()
        cut_short = self._ledger.is_cut_short(ticket) or _is_under_way(ticket)
        work = self._ledger.work(ticket)
        is_first = not self._ledger.was_canceled(ticket)
        confirmed = not (cut_short and is_first and work.get("slow_cancel"))
        cost = 0 if cut_short else work.get("cost_micros", 0)
        said = {"confirmed": confirmed, "cut_short": cut_short, "cost_micros": cost}
        self._write(("cancel",), "", "", ticket=ticket, **said)
        return Canceled(confirmed, cost if confirmed else None)

    def _let_in(self) -> None:
        if self._rotated is not None and self._rotated.exists():
            raise ProviderUnauthorized("The key has been rotated.")

    def _scripted(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> errors.SafelightError | None:
        job = request.prompt or attempt.id
        self._calls[job] = call = self._calls.get(job, 0) + 1
        codes = request.params["errors"]
        if call > len(codes):
            return None
        return _error(codes[call - 1], request.params.get("retry_after_s"))

    def _end(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Failed:
        code = request.params.get("verdict")
        if code is None:
            return self._done(request, attempt)
        cost = request.params.get("cost_micros")
        self._write(("fail",), attempt.id, request.prompt, cost_micros=cost or 0)
        error = _error(code, None)
        return Failed(error if isinstance(error, ProviderError) else ProviderError(), cost)

    def _done(self, request: ProviderRequest, attempt: AttemptHandle) -> Done:
        made: list[MediaFile] = []
        for number in range(request.params["outputs"]):
            path = request.scratch / f"{number}.png"
            path.write_bytes(_pixel())
            made.append(MediaFile(path, "image/png"))
        cost = request.params.get("cost_micros")
        self._write(("end",), attempt.id, request.prompt, cost_micros=cost or 0)
        return Done(tuple(made), cost)

    def _write(self, lines: tuple[str, ...], attempt_id: str, prompt: str, **more: Any) -> None:
        shared = {"attempt": attempt_id, "prompt": prompt, "at": time.time(), **more}
        self._ledger.write([{"what": what, **shared} for what in lines])

    def _model(self, name: str, title: str, *, repeatable: bool = False) -> Model:
        return Model(
            id=name,
            provider=self.name,
            title=title,
            description="Does what its params say.",
            kinds=frozenset(Kind),
            lane=Lane.REMOTE,
            params_schema=_SCHEMA,
            timeout=timedelta(seconds=600),
            repeatable=repeatable,
            max_inputs=16,
            price=FREE,
        )


class FakeQueue(FakeProvider):
    """Paid work that can be looked up by attempt after its start's response was lost.

    A request reported absent is refused if it arrives later, so the report stays true. The ledger's
    first line decides, since a process may be suspended between any two lines.
    """

    name = "fake-queue"
    adopts_within = timedelta(seconds=60)

    def capabilities(self) -> tuple[Model, ...]:
        return (self._model("fake-queue", "Fake, paid, can be asked"),)

    async def start(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        self._let_in()
        self._write(("order",), attempt.id, request.prompt)
        if not self._ledger.is_ordered(attempt.id):
            raise ProviderRejected("The request arrived after it was reported absent.")
        return await super().start(request, attempt)

    async def look_up(self, lost: LostStart) -> str | Absent | None:
        self._let_in()
        self._write(("search",), lost.attempt_id, lost.request.prompt)
        if self._ledger.is_ordered(lost.attempt_id):
            return self._ledger.ticket_of(lost.attempt_id)
        self._write(("absent",), lost.attempt_id, lost.request.prompt)
        return ABSENT


class _Ledger:
    """The calls of all processes and the state they imply; in memory without a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read_to = 0
        self._first: dict[str, str] = {}  # "order" or "search", whichever came first, by attempt
        self._works: dict[str, JsonObject] = {}  # the start's entry, by ticket
        self._tickets: dict[str, str] = {}  # by attempt
        self._cancels: dict[str, list[JsonObject]] = {}  # by ticket

    def write(self, entries: list[JsonObject]) -> None:
        """Append one line per entry, atomically."""
        if self._path is None:
            self._take_in(entries)
            return
        lines = "".join(json.dumps(entry) + "\n" for entry in entries)
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, lines.encode())
        finally:
            os.close(handle)

    def is_ordered(self, attempt_id: str) -> bool:
        """Return whether the request came before any search for it."""
        self._catch_up()
        return self._first.get(attempt_id) == "order"

    def ticket_of(self, attempt_id: str) -> str | None:
        self._catch_up()
        return self._tickets.get(attempt_id)

    def work(self, ticket: str) -> Mapping[str, Any]:
        """Return the start's entry of a ticket; empty if the ticket is unknown."""
        self._catch_up()
        return self._works.get(ticket, {})

    def was_canceled(self, ticket: str) -> bool:
        self._catch_up()
        return ticket in self._cancels

    def is_cut_short(self, ticket: str) -> bool:
        """Return whether the work was canceled before its end, and so costs nothing."""
        self._catch_up()
        return any(
            said["confirmed"] and said["cut_short"] for said in self._cancels.get(ticket, [])
        )

    def _catch_up(self) -> None:
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            whole, _, _ = file.read().rpartition(b"\n")
        if whole:
            self._read_to += len(whole) + 1
            self._take_in([json.loads(line) for line in whole.splitlines()])

    def _take_in(self, entries: list[JsonObject]) -> None:
        for entry in entries:
            what, ticket = entry["what"], entry.get("ticket", "")
            if what in ("order", "search"):
                self._first.setdefault(entry["attempt"], what)
            elif what == "ticket":
                self._works[ticket] = entry
                self._tickets[entry["attempt"]] = ticket
            elif what == "cancel":
                self._cancels.setdefault(ticket, []).append(entry)


def _is_under_way(ticket: str) -> bool:
    """Return whether the ticket's work is still running; False for an unknown ticket."""
    try:
        return _due(ticket) > time.monotonic()
    except ProviderRejected:
        return False


def _due(ticket: str) -> float:
    """Return when the ticket's work ends; it is encoded in the ticket for any process to read."""
    try:
        return float(ticket.partition("-")[0])
    except ValueError:
        raise ProviderRejected("Unknown ticket.") from None


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

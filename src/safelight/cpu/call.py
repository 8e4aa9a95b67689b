"""One call in its own process: limits and cage first, then the function, then its result."""

import json
import os
import pickle
import socket
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight.cpu import results
from safelight.cpu.cage import cage
from safelight.cpu.frames import Kind, packed, receive_request
from safelight.cpu.limits import Limits, enforce
from safelight.errors import SafelightError

_MAX_STAGE, _MAX_TRACE = 200, 20_000  # characters

_send: Callable[[float, str], None] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A function with its arguments, its limits, and the files that it may use."""

    function: Callable[..., object]
    args: tuple[Any, ...]
    limits: Limits
    reads: Sequence[Path]
    writes: Sequence[Path]


def report(percent: float, stage: str) -> None:
    """Report the progress of the running call; does nothing outside a child."""
    if _send is not None:
        _send(percent, stage)


def serve(channel: socket.socket) -> None:
    """Do the one call that comes on `channel`, and answer on it."""
    global _send  # noqa: PLW0603  this process runs one call
    try:
        # From the server, which is trusted; its functions' modules are imported uncaged.
        request: Request = pickle.loads(receive_request(channel))  # noqa: S301
    except EOFError:
        return

    def send(percent: float, stage: str) -> None:
        text = json.dumps([round(percent, 1), stage[:_MAX_STAGE]])
        channel.sendall(packed(Kind.PROGRESS, text.encode()))

    _send = send
    channel.sendall(_answer(request))


def _answer(request: Request) -> bytes:
    try:
        _confine(request)
        return packed(Kind.RESULT, results.encode(request.function(*request.args)))
    except SafelightError as error:
        return packed(Kind.REFUSAL, json.dumps(error.problem()).encode())
    except MemoryError:
        return packed(Kind.NO_MEMORY, b"")
    except BaseException:  # noqa: BLE001  the pool raises it
        return packed(Kind.FAULT, traceback.format_exc()[-_MAX_TRACE:].encode())


def _confine(request: Request) -> None:
    if request.writes:
        tempfile.tempdir = str(request.writes[0])
        os.environ["TMPDIR"] = tempfile.tempdir  # noqa: TID251  for libraries, in this call
    enforce(request.limits)
    cage.close(request.reads, request.writes)

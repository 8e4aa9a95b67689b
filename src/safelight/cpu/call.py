"""The calls of one process: limits and cage first, then each function and its result."""

import json
import os
import pickle
import socket
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight.cpu import results
from safelight.cpu.cage import cage
from safelight.cpu.frames import Kind, check_size, packed, receive_request
from safelight.cpu.limits import Limits, enforce
from safelight.errors import SafelightError

MAX_STAGE = 200
"""Characters of a progress report that are passed on."""

_MAX_TRACE = 20_000  # characters

_send: Callable[[float, str], None] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A function with its arguments, its limits, and the files that it may use.

    The child confines itself for its first request. It waits for others if that one `stays`.
    """

    function: Callable[..., object]
    args: tuple[Any, ...]
    limits: Limits
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()
    stays: bool = False


def report(percent: float, stage: str) -> None:
    """Report the progress of the running call; does nothing outside a child."""
    if _send is not None:
        _send(percent, stage)


def serve(channel: socket.socket) -> None:
    """Do the calls that come on `channel`, and answer on it; the first that fails is the last."""
    global _send  # noqa: PLW0603  this process runs one call at a time

    def send(percent: float, stage: str) -> None:
        text = json.dumps([round(percent, 1), stage[:MAX_STAGE]])
        channel.sendall(packed(Kind.PROGRESS, text.encode()))

    _send = send
    is_confined = False
    with channel.makefile("rb") as requests, suppress(EOFError):
        while True:
            # From the pool, which is trusted; the first one's modules are imported uncaged.
            request: Request = pickle.loads(receive_request(requests))  # noqa: S301
            kind, data = _answer(request, is_confined=is_confined)
            channel.sendall(packed(kind, data))
            if kind is not Kind.RESULT or not request.stays:
                return
            is_confined = True


def _answer(request: Request, *, is_confined: bool) -> tuple[Kind, bytes]:
    try:
        if not is_confined:
            _confine(request)
        data = results.encode(request.function(*request.args))
        check_size(len(data))
    except SafelightError as error:
        return Kind.REFUSAL, json.dumps(error.problem()).encode()
    except MemoryError:
        return Kind.NO_MEMORY, b""
    except BaseException:  # noqa: BLE001  the pool raises it
        return Kind.FAULT, traceback.format_exc()[-_MAX_TRACE:].encode()
    return Kind.RESULT, data


def _confine(request: Request) -> None:
    if request.writes:
        tempfile.tempdir = str(request.writes[0])
        os.environ["TMPDIR"] = tempfile.tempdir  # noqa: TID251  for libraries, in this call
    enforce(request.limits)
    cage.close(request.reads, request.writes)

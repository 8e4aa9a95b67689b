"""Writes JSON responses, and waits for the result if the caller prefers (`Prefer: wait`)."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
from fastapi import Request, Response

from safelight import documents
from safelight.doorbell import doorbell
from safelight.ids import PREFIXES
from safelight.jobs.submit import Submitted
from safelight.jobs.view import batch_document, job_document
from safelight.web.files.conditions import has_it
from safelight.web.services import Services

_LOOK_EVERY = timedelta(seconds=1)
_WAIT = re.compile(r"(?:^|[,;\s])wait(?:=(\d{1,6}))?\s*(?:$|[,;])", re.IGNORECASE)


def json_response(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return `document` as JSON; orjson, because lists have hundreds of items."""
    body = orjson.dumps(document, option=orjson.OPT_UTC_Z)
    return Response(body, status, dict(headers or {}), "application/json")


def conditional_response(request: Request, document: Mapping[str, Any]) -> Response:
    """Return `document`, or 304 if `If-None-Match` names its ETag."""
    body = orjson.dumps(document, option=orjson.OPT_UTC_Z)
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
    if has_it(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, "application/json")


async def job_answer(services: Services, account_id: str, job_id: str) -> documents.Job:
    """Return the job's public document."""
    view = await services.jobs.view(account_id, job_id)
    return job_document(view.job, view.outputs, services.links, place=view.place)


async def batch_answer(services: Services, account_id: str, batch_id: str) -> documents.Batch:
    """Return the batch's public document."""
    view = await services.jobs.view_batch(account_id, batch_id)
    return batch_document(view.batch, view.jobs, view.outputs, services.links, places=view.places)


async def answer_submit(
    request: Request, services: Services, account_id: str, made: Submitted
) -> Response:
    """Ring the doorbell and return 202, or 200 if the job finishes while the caller waits."""
    services.bell.ring(*(doorbell.lane(lane) for lane in made.lanes))
    seconds = min(_preferred_wait(request), services.entry.limits.wait_s)
    if made.job is not None and not seconds:
        document = job_document(made.job, (), services.links)
    else:
        document = await _await_final(services, account_id, made.subject, seconds)
    finished = document["finished_at"] is not None
    headers = {"Location": document["status_url"]}
    if made.replayed:
        headers["Idempotent-Replayed"] = "true"
    if seconds:
        headers["Preference-Applied"] = f"wait={seconds}"
    name = "batch_id" if made.subject.startswith(PREFIXES["batch"]) else "job_id"
    status = 200 if seconds and finished else 202
    return json_response({name: made.subject, **document}, status, headers)


async def _await_final(
    services: Services, account_id: str, subject: str, seconds: float
) -> documents.Job | documents.Batch:
    read = batch_answer if subject.startswith(PREFIXES["batch"]) else job_answer
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    with services.bell.listen(doorbell.subject(subject)) as ear:
        document = await read(services, account_id, subject)
        while document["finished_at"] is None and not services.stopping.is_set():
            left = timedelta(seconds=until - loop.time())
            if left <= timedelta():
                break
            await ear.wait(min(left, _LOOK_EVERY))
            document = await read(services, account_id, subject)
    return document


def _preferred_wait(request: Request) -> int:
    """Return the seconds of `Prefer: wait=N` (RFC 7240); a bare `wait` is the maximum."""
    found = _WAIT.search(request.headers.get("prefer", ""))
    if found is None:
        return 0
    return int(found[1]) if found[1] else 1_000_000

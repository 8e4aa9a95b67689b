"""Routes for jobs: list, read, follow, cancel, redrive, delete."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from safelight import documents
from safelight.accounts.account import Caller
from safelight.assets.errors import OnHold
from safelight.doorbell import doorbell
from safelight.errors import NotFound, WrongState
from safelight.jobs.job import Attempt, Job, JobStatus
from safelight.jobs.topics import topics_of
from safelight.jobs.view import job_document
from safelight.providers.provider import Kind
from safelight.web.answers import conditional_response, job_answer, json_response
from safelight.web.api.formats import CONVERSION_PROBLEMS, FormatQuery, key_in_format
from safelight.web.auth import JobReader, JobWriter, Parts
from safelight.web.contract import redirects, returns, streams
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services
from safelight.web.streams.feeds import feed_of
from safelight.web.streams.sse import follow, is_over

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["jobs"])

_SHOWN_AS: dict[str, tuple[JobStatus, ...]] = {
    "queued": (JobStatus.QUEUED,),
    "running": (JobStatus.RUNNING, JobStatus.WAITING),
    "succeeded": (JobStatus.SUCCEEDED,),
    "failed": (JobStatus.FAILED,),
    "canceled": (JobStatus.CANCELED,),
}
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=64)]
Cursor = Annotated[
    str | None,
    Query(min_length=1, max_length=64, description="`next_cursor` of the previous page."),
]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("/jobs", **returns(documents.JobList, conditional=True))
async def list_jobs(
    request: Request,
    caller: JobReader,
    services: Parts,
    kind: Kind | None = None,
    status: Literal["queued", "running", "succeeded", "failed", "canceled"] | None = None,
    batch_id: Annotated[str | None, Query(max_length=64)] = None,
    model: Annotated[str | None, Query(max_length=255)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Return your jobs, newest first.

    A filter by kind or model scans a few thousand jobs per page: a short or empty page may have a
    `next_cursor`; the last page has none.
    """
    wanted = {"kind": kind, "batch_id": batch_id, "model": model}
    page = await services.jobs.page(
        caller.account_id,
        before=cursor,
        limit=limit,
        equal={name: value for name, value in wanted.items() if value is not None},
        statuses=_SHOWN_AS[status] if status else (),
    )
    shown = [
        job_document(view.job, view.outputs, services.links, place=view.place) for view in page.rows
    ]
    document: documents.JobList = {"data": shown, "next_cursor": page.next}
    return conditional_response(request, document)


def cursor_after(shown: Sequence[Mapping[str, Any]], *, more: bool) -> str | None:
    """Return the cursor of the next page: the last id, so new rows never shift a page."""
    return shown[-1]["id"] if more else None


@router.get("/jobs/{job_id}", **returns(documents.Job, conditional=True))
@router.get("/result/{job_id}", include_in_schema=False)
@router.get("/status/{job_id}", include_in_schema=False)
async def get_job(request: Request, job_id: str, caller: JobReader, services: Parts) -> Response:
    """Return one job."""
    return conditional_response(request, await job_answer(services, caller.account_id, job_id))


@router.get("/jobs/{job_id}/attempts", **returns(documents.AttemptList))
async def list_attempts(job_id: str, caller: JobReader, services: Parts) -> Response:
    """Return the attempts of a job: the provider, outcome and cost of each."""
    found = await services.jobs.attempts(caller.account_id, job_id)
    document: documents.AttemptList = {
        "data": [_attempt_document(attempt) for attempt in found],
        "next_cursor": None,
    }
    return json_response(document)


def _attempt_document(attempt: Attempt) -> documents.Attempt:
    return {
        "id": attempt.id,
        "number": attempt.number,
        "provider": attempt.provider,
        "state": attempt.state.value,
        "outcome": attempt.outcome.value if attempt.outcome else None,
        "ground": None if attempt.is_open else attempt.ground.value,
        "error": cast("documents.Problem | None", attempt.error),
        "cost_micros": attempt.cost_micros,
        "created_at": attempt.created_at,
        "closed_at": attempt.closed_at,
    }


@router.get("/jobs/{job_id}/events", **streams(documents.Job, documents.JobEvent))
async def follow_job(
    request: Request,
    job_id: str,
    caller: JobReader,
    services: Parts,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow one job as server-sent events, until it is final."""
    await services.jobs.view(caller.account_id, job_id)
    return await stream(services, caller, job_id, last_event_id)


async def stream(
    services: Services, caller: Caller, subject: str, last_event_id: str | None
) -> Response:
    """Return the events of a job or batch as a stream, or 204 if the client has them all."""
    feed = feed_of(services, caller.account_id, subject)
    if last_event_id and await is_over(feed, last_event_id):
        return Response(status_code=204)
    return StreamingResponse(
        follow(
            feed,
            services.watch,
            caller,
            last_event_id=last_event_id,
            stopping=services.stopping,
        ),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/jobs/{job_id}/download", **redirects(WrongState, *CONVERSION_PROBLEMS))
async def download_job(
    job_id: str, caller: JobReader, services: Parts, form: FormatQuery = None
) -> Response:
    """Redirect to the download of the job's first output; a 3D model in any of its formats."""
    view = await services.jobs.view(caller.account_id, job_id)
    if view.job.status is not JobStatus.SUCCEEDED:
        raise WrongState("The job has no result to download.")
    if not view.outputs or not view.outputs[0].key:
        raise NotFound("The job's outputs have been deleted.")
    key = await key_in_format(services, view.outputs[0], form)
    return RedirectResponse(services.links.download(key, caller.account_id), 303)


@router.post("/jobs/{job_id}/cancel", **returns(documents.Job, WrongState))
async def cancel_job(job_id: str, caller: JobWriter, services: Parts) -> Response:
    """Cancel a queued or running job."""
    _ring(services, await services.jobs.cancel(caller.account_id, job_id))
    return json_response(await job_answer(services, caller.account_id, job_id))


@router.post("/jobs/{job_id}/redrive", **returns(documents.Job, WrongState, status=202))
async def redrive_job(job_id: str, caller: JobWriter, services: Parts) -> Response:
    """Redrive a failed or canceled job."""
    _ring(services, await services.jobs.redrive(caller.account_id, job_id))
    return json_response(await job_answer(services, caller.account_id, job_id), 202)


@router.delete("/jobs/{job_id}", **returns(documents.Deleted, WrongState, OnHold))
async def delete_job(
    job_id: str,
    caller: JobWriter,
    services: Parts,
    *,
    now: Annotated[bool, Query(description="Delete permanently, bypassing the trash.")] = False,
) -> Response:
    """Delete a finished job with its outputs, which go to the trash like deleted assets."""
    outputs, until = await services.jobs.delete(
        caller.account_id, job_id, actor=caller.key_id, now=now
    )
    document: documents.Deleted = {
        "id": job_id,
        "assets": [asset.id for asset in outputs] if until else [],
        "purge_at": until,
    }
    return json_response(document)


def _ring(services: Services, job: Job) -> None:
    services.bell.ring(doorbell.HALT, *topics_of([job]))

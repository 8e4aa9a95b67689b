"""Routes for operations: workers, lanes, dead letters, and redrive."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from safelight import documents
from safelight.db.types import to_microseconds
from safelight.doorbell import doorbell
from safelight.jobs.fields import STRICT, Name, Time
from safelight.jobs.job import Job
from safelight.jobs.ledger.dead_letters import Mark, Which
from safelight.jobs.operations import MOST_REDRIVEN
from safelight.jobs.scheduling.lane_counts import COUNTED, LaneCount, ProviderCount
from safelight.jobs.view import public_kind
from safelight.providers.provider import Kind
from safelight.web.answers import json_response
from safelight.web.auth import AdminReader, AdminWriter, JobWriter, Parts
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["operations"])
jobs_router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["jobs"])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Filter(BaseModel):
    """A filter of dead letters; omitted fields match everything."""

    model_config = STRICT

    model: Name | None = None
    provider: Name | None = None
    lane: Name | None = None
    kind: Annotated[Kind, Field(strict=False)] | None = None
    error: Name | None = Field(None, description="The `code` of the job's error.")
    finished_after: Time | None = None
    finished_before: Time | None = None

    def which(self, account_id: str | None) -> Which:
        """Return the filter for the store; None is every account."""
        return Which(
            account_id=account_id,
            model=self.model,
            provider=self.provider,
            lane=self.lane,
            kind=self.kind,
            code=self.error,
            finished_after=self.finished_after,
            finished_before=self.finished_before,
        )


Cursor = Annotated[
    str | None,
    Field(
        pattern="^[0-9]{1,16}-[0-9a-z_]{1,64}$",
        description="`next_cursor` of the previous page; even a short page may have one.",
    ),
]


class Listing(Filter):
    """Query of `GET /v1/admin/dead-letters`."""

    model_config = ConfigDict(strict=False)

    account_id: Name | None = None
    limit: int = Field(50, ge=1, le=200)
    cursor: Cursor = None


class RedriveJobs(Filter):
    """Body of `POST /v1/jobs/redrive`."""

    limit: int = Field(1_000, ge=1, le=MOST_REDRIVEN, description="Maximum number, newest first.")
    cursor: Cursor = None


class RedriveDeadLetters(RedriveJobs):
    """Body of `POST /v1/admin/dead-letters/redrive`."""

    account_id: Name | None = None


# --- workers ---------------------------------------------------------------------------------


@router.get("/admin/workers", **returns(documents.WorkerList))
async def list_workers(caller: AdminReader, services: Parts) -> Response:
    """Return the workers, janitors and notifiers, and whether each is alive."""
    found = await services.operations.processes()
    document: documents.WorkerList = {
        "data": [
            {
                "id": each.id,
                "host": each.host,
                "pid": each.pid,
                "roles": list(each.roles),
                "lanes": dict(each.lanes),
                "version": each.version,
                "running": each.running,
                "alive": each.alive,
                "started_at": each.started_at,
                "last_seen_at": each.seen_at,
            }
            for each in found
        ],
        "next_cursor": None,
    }
    return json_response(document)


# --- lanes -----------------------------------------------------------------------------------


@router.get("/admin/lanes", **returns(documents.Lanes))
async def list_lanes(caller: AdminReader, services: Parts) -> Response:
    """Return the queued and running jobs per lane and provider."""
    found = await services.operations.overview()
    document: documents.Lanes = {
        "lanes": [_lane_document(lane) for lane in found.lanes],
        "providers": [_provider_document(provider) for provider in found.providers],
        "unwell": [
            {
                "provider": each.provider,
                "reason": each.reason,
                "refused_look": each.refused_look,
                "advice": each.advice(),
                "faults": each.faults,
                "shut_until": each.shut_until,
            }
            for each in await services.operations.unwell()
        ],
    }
    return json_response(document)


@router.post("/admin/lanes/{name}/pause", **returns(documents.LaneState))
async def pause_lane(name: Name, caller: AdminWriter, services: Parts) -> Response:
    """Pause a lane: no job starts; running and waiting jobs continue."""
    since = await services.operations.pause(name)
    document: documents.LaneState = {"name": name, "paused": True, "paused_at": since}
    return json_response(document)


@router.post("/admin/lanes/{name}/resume", **returns(documents.LaneState))
async def resume_lane(name: Name, caller: AdminWriter, services: Parts) -> Response:
    """Resume a lane."""
    await services.operations.resume(name)
    services.bell.ring(doorbell.lane(name))
    document: documents.LaneState = {"name": name, "paused": False, "paused_at": None}
    return json_response(document)


# --- dead letters ----------------------------------------------------------------------------


@router.get("/admin/dead-letters", **returns(documents.DeadLetterList))
async def list_dead_letters(
    caller: AdminReader, services: Parts, wanted: Annotated[Listing, Query()]
) -> Response:
    """Return the failed jobs of all accounts, latest failure first."""
    found = await services.operations.dead_letters(
        wanted.which(wanted.account_id), after=_mark(wanted.cursor), limit=wanted.limit
    )
    document: documents.DeadLetterList = {
        "data": [_dead_letter_document(job) for job in found.jobs],
        "next_cursor": _cursor(found.last),
    }
    return json_response(document)


@router.post("/admin/dead-letters/redrive", **returns(documents.Redriven))
async def redrive_dead_letters(
    body: RedriveDeadLetters, caller: AdminWriter, services: Parts
) -> Response:
    """Redrive failed jobs of all accounts, latest failure first."""
    return await _redrive(services, body.which(body.account_id), body)


@jobs_router.post("/jobs/redrive", **returns(documents.Redriven))
async def redrive_jobs(body: RedriveJobs, caller: JobWriter, services: Parts) -> Response:
    """Redrive your failed jobs, latest failure first."""
    return await _redrive(services, body.which(caller.account_id), body)


async def _redrive(services: Services, which: Which, body: RedriveJobs) -> Response:
    done = await services.operations.redrive(which, after=_mark(body.cursor), limit=body.limit)
    services.bell.ring(
        *map(doorbell.lane, sorted(done.lanes)), *map(doorbell.subject, sorted(done.batch_ids))
    )
    document: documents.Redriven = {
        "redriven": done.redriven,
        "skipped": done.skipped,
        "next_cursor": _cursor(done.last),
    }
    return json_response(document)


# --- documents -------------------------------------------------------------------------------


def _lane_document(lane: LaneCount) -> documents.Lane:
    wait = lane.oldest_wait
    return {
        "name": lane.name,
        "paused": lane.paused_at is not None,
        "paused_at": lane.paused_at,
        "ready": lane.ready,
        "ready_at_least": lane.ready >= COUNTED,
        "due_checks": lane.due_checks,
        "delayed": lane.delayed,
        "delayed_at_least": lane.delayed >= COUNTED,
        "oldest_wait_s": None if wait is None else round(wait.total_seconds(), 3),
        "running": lane.in_flight.running,
        "waiting": lane.in_flight.waiting,
    }


def _provider_document(provider: ProviderCount) -> documents.ProviderLoad:
    return {
        "name": provider.name,
        "ready": provider.ready,
        "ready_at_least": provider.ready >= COUNTED,
        "running": provider.in_flight.running,
        "waiting": provider.in_flight.waiting,
        "in_flight": provider.in_flight.total,
    }


def _dead_letter_document(job: Job) -> documents.DeadLetter:
    """Return the owner and the error of a failed job, without its prompt and inputs."""
    return {
        "id": job.id,
        "account_id": job.account_id,
        "batch_id": job.batch_id,
        "kind": public_kind(job),
        "model": job.model,
        "provider": job.provider,
        "lane": job.lane,
        "error": cast("documents.Problem | None", job.error),
        "attempts": job.attempts,
        "crashes": job.crashes,
        "cost_micros": job.cost_micros,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at or job.created_at,
    }


def _cursor(mark: Mark | None) -> str | None:
    # The cursor carries the time, because a job that was redriven meanwhile has lost its own.
    return None if mark is None else f"{to_microseconds(mark.finished_at)}-{mark.job_id}"


def _mark(cursor: str | None) -> Mark | None:
    if cursor is None:
        return None
    microseconds, _, job_id = cursor.partition("-")
    return Mark(_EPOCH + timedelta(microseconds=int(microseconds)), job_id)

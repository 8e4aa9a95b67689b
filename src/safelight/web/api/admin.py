"""Operations: lanes, dead letters and accounts' limits for admins; own dead letters for anyone."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from safelight import documents
from safelight.accounts.account import Account
from safelight.db.types import to_microseconds
from safelight.doorbell import doorbell
from safelight.errors import InvalidRequest
from safelight.jobs.fields import Name, Time
from safelight.jobs.job import Job
from safelight.jobs.ledger.dead_letters import Mark, Which
from safelight.jobs.operations import MOST_REDRIVEN
from safelight.jobs.scheduling.lane_counts import COUNTED, LaneCount, ProviderCount
from safelight.jobs.view import public_kind
from safelight.providers.provider import Kind
from safelight.web.answers import json_response
from safelight.web.auth import Admin, Parts, Writer
from safelight.web.contract import returns
from safelight.web.services import Services

router = APIRouter(prefix="/v1", tags=["operations"])
jobs_router = APIRouter(prefix="/v1", tags=["jobs"])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_IN_FLIGHT = 1_000_000


class Filter(BaseModel):
    """Which dead letters are meant; what is left out is not looked at."""

    model_config = ConfigDict(extra="forbid")

    model: Name | None = None
    provider: Name | None = None
    lane: Name | None = None
    kind: Kind | None = None
    error: Name | None = Field(None, description="The `code` of the job's error.")
    finished_after: Time | None = None
    finished_before: Time | None = None

    def which(self, account_id: str | None) -> Which:
        """Return it for the store; None is every account."""
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
        description="`next_cursor` of the last answer, which one with few letters, or none, may"
        " have as well.",
    ),
]


class Listing(Filter):
    """Query of `GET /v1/admin/dead-letters`."""

    account_id: Name | None = None
    limit: int = Field(50, ge=1, le=200)
    cursor: Cursor = None


class RedriveJobs(Filter):
    """Body of `POST /v1/jobs/redrive`."""

    limit: int = Field(1_000, ge=1, le=MOST_REDRIVEN, description="At most so many, newest first.")
    cursor: Cursor = None


class RedriveDeadLetters(RedriveJobs):
    """Body of `POST /v1/admin/dead-letters/redrive`."""

    account_id: Name | None = None


class AccountLimitsChange(BaseModel):
    """Body of `PATCH /v1/admin/accounts/{id}`; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    max_in_flight: int | None = Field(
        None, ge=0, le=_MOST_IN_FLIGHT, description="Jobs at once; null is what the settings say."
    )
    hold: str = Field(
        "", max_length=500, description="Why nothing of it may go; empty is that it may."
    )


# --- lanes -----------------------------------------------------------------------------------


@router.get("/admin/lanes", **returns(documents.Lanes))
async def list_lanes(caller: Admin, services: Parts) -> Response:
    """Return what stands in each lane and at each provider that has work."""
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
async def pause_lane(name: Name, caller: Admin, services: Parts) -> Response:
    """Let a lane start nothing more; what runs or waits there goes on."""
    since = await services.operations.pause(name)
    document: documents.LaneState = {"name": name, "paused": True, "paused_at": since}
    return json_response(document)


@router.post("/admin/lanes/{name}/resume", **returns(documents.LaneState))
async def resume_lane(name: Name, caller: Admin, services: Parts) -> Response:
    """Let a lane start jobs again."""
    await services.operations.resume(name)
    services.bell.ring(doorbell.lane(name))
    document: documents.LaneState = {"name": name, "paused": False, "paused_at": None}
    return json_response(document)


# --- dead letters ----------------------------------------------------------------------------


@router.get("/admin/dead-letters", **returns(documents.DeadLetterList))
async def list_dead_letters(
    caller: Admin, services: Parts, wanted: Annotated[Listing, Query()]
) -> Response:
    """Return failed jobs of all accounts, the one that failed last first."""
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
    body: RedriveDeadLetters, caller: Admin, services: Parts
) -> Response:
    """Queue failed jobs of all accounts anew, the one that failed last first."""
    return await _redrive(services, body.which(body.account_id), body)


@jobs_router.post("/jobs/redrive", **returns(documents.Redriven))
async def redrive_jobs(body: RedriveJobs, caller: Writer, services: Parts) -> Response:
    """Queue your failed jobs anew, the one that failed last first."""
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


# --- accounts --------------------------------------------------------------------------------


@router.patch("/admin/accounts/{account_id}", **returns(documents.AccountLimits))
async def change_account_limits(
    account_id: Name, body: AccountLimitsChange, caller: Admin, services: Parts
) -> Response:
    """Say how many jobs of an account may be in flight at once, or hold all that it has."""
    values = body.model_dump(exclude_unset=True)
    if not values:
        raise InvalidRequest("There is nothing to change.")
    changed = await services.accounts.change(account_id, values, actor=caller.key_id)
    return json_response(_account_document(changed))


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
    """Return what an admin needs to know: whose it is and why it failed, not what was asked."""
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


def _account_document(account: Account) -> documents.AccountLimits:
    return {
        "id": account.id,
        "name": account.name,
        "max_in_flight": account.max_in_flight,
        "hold": account.hold,
        "created_at": account.created_at,
    }


def _cursor(mark: Mark | None) -> str | None:
    # Its time stands in the cursor, as a job that was redriven meanwhile has none any more.
    return None if mark is None else f"{to_microseconds(mark.finished_at)}-{mark.job_id}"


def _mark(cursor: str | None) -> Mark | None:
    if cursor is None:
        return None
    microseconds, _, job_id = cursor.partition("-")
    return Mark(_EPOCH + timedelta(microseconds=int(microseconds)), job_id)

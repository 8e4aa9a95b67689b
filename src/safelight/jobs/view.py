"""Builds the public documents of jobs and batches. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from safelight import documents
from safelight.assets.asset import Asset
from safelight.assets.urls import Links
from safelight.assets.view import asset_document
from safelight.documents.values import Kind, Status
from safelight.jobs.inputs import JobInput
from safelight.jobs.job import Batch, Job, JobStatus, Tally, batch_status


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """A job's queue position (None if not queued), and its estimated seconds to completion.

    `stage` replaces the job's own where something keeps the whole queue from moving.
    """

    position: int | None = None
    eta_s: float | None = None
    stage: str = ""


def public_status(job: Job) -> Status:
    """Return the status as the API names it."""
    return "running" if job.status is JobStatus.WAITING else job.status.value


def public_kind(work: Job | Batch) -> Kind:
    """Return the kind as the API names it."""
    return cast("Kind", work.kind)


def job_document(
    job: Job, outputs: Sequence[Asset], links: Links, *, place: QueuePlace | None = None
) -> documents.Job:
    """Return the document of `job` for the API, streams and webhooks."""
    place = place or QueuePlace()
    address = f"{links.base_url}/v1/jobs/{job.id}"
    return {
        "id": job.id,
        "kind": public_kind(job),
        "status": public_status(job),
        "stage": place.stage or job.stage,
        "progress": job.progress,
        "queue_position": place.position,
        "eta_s": place.eta_s,
        "prompt": job.prompt or None,
        "model": job.model,
        "provider": job.provider,
        "params": job.params,
        "fallbacks": [each["model"] for each in job.fallbacks],
        "inputs": [JobInput.read(entry).document() for entry in job.inputs],
        "outputs": [asset_document(asset, links) for asset in outputs],
        "error": _problem(job.error) if job.status is JobStatus.FAILED else None,
        "cost_micros": job.cost_micros,
        "cost_known_micros": job.cost_known_micros,
        "estimate_micros": job.estimate_micros,
        "attempts": job.attempts,
        "batch_id": job.batch_id,
        "batch_index": job.batch_index,
        "name": job.name or None,
        "external_id": job.external_id or None,
        "source_url": job.source_url or None,
        "priority": job.priority,
        "start_by": job.start_by,
        "visibility": job.visibility.value,
        "keep_s": job.keep_s,
        "tags": job.tags,
        "metadata": job.metadata,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "status_url": address,
        "events_url": f"{address}/events",
    }


def batch_document(
    batch: Batch,
    jobs: Sequence[Job],
    outputs: Mapping[str, Sequence[Asset]],
    links: Links,
    *,
    places: Mapping[str, QueuePlace] = MappingProxyType({}),
) -> documents.Batch:
    """Return the document of `batch`; its status and progress are derived from its jobs."""
    items: list[documents.BatchItem] = [
        {
            "index": job.batch_index or 0,
            "name": job.name or job.source_url or None,
            "job": job_document(job, outputs.get(job.id, ()), links, place=places.get(job.id)),
            "problem": None,
        }
        for job in jobs
    ]
    items += [
        documents.BatchItem(
            index=item["index"], name=item["name"], job=None, problem=_problem(item["problem"])
        )
        for item in batch.problems
    ]
    summary = batch_summary(batch, tally_of(batch, jobs), links)
    return {**summary, "items": sorted(items, key=lambda item: item["index"])}


def tally_of(batch: Batch, jobs: Sequence[Job]) -> Tally:
    """Return a batch's progress, computed from its jobs."""
    counts = Counter(job.status for job in jobs)
    percent = sum(job.progress for job in jobs if not job.is_final)
    return Tally(counts, percent, len(batch.problems))


def batch_summary(batch: Batch, tally: Tally, links: Links) -> documents.BatchSummary:
    """Return the summary of `batch` for lists, without its items."""
    address = f"{links.base_url}/v1/batches/{batch.id}"
    return {
        "id": batch.id,
        "kind": public_kind(batch),
        "name": batch.name or None,
        **batch_standing(tally),
        "tags": batch.tags,
        "metadata": batch.metadata,
        "created_at": batch.created_at,
        "finished_at": batch.finished_at,
        "status_url": address,
        "events_url": f"{address}/events",
        "download_url": f"{address}/download",
    }


def batch_standing(tally: Tally) -> documents.BatchStanding:
    """Return the status, progress and counts of a batch."""
    counts = Counter(tally.counts)
    return {
        "status": batch_status(tally),
        "progress": tally.progress,
        "counts": {
            "total": tally.total,
            "queued": counts[JobStatus.QUEUED],
            "running": counts[JobStatus.RUNNING] + counts[JobStatus.WAITING],
            "succeeded": counts[JobStatus.SUCCEEDED],
            "failed": counts[JobStatus.FAILED] + tally.problems,
            "canceled": counts[JobStatus.CANCELED],
        },
    }


def _problem(stored: Mapping[str, Any] | None) -> documents.Problem | None:
    return cast("documents.Problem | None", stored)

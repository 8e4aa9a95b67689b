"""Builds the current document of an event's job or batch."""

from collections.abc import Collection, Mapping
from typing import Any

from safelight import documents
from safelight.assets import store as asset_store
from safelight.assets.urls import Links
from safelight.db import Connection
from safelight.jobs.ledger import batch_store
from safelight.jobs.ledger import store as job_store
from safelight.jobs.view import batch_document, job_document
from safelight.json_object import JsonObject

# Fields of unbounded length; receivers can fetch them from the document's `status_url`.
_LONG_IN_JOB = frozenset({"prompt", "params", "inputs", "outputs", "tags", "metadata"})
_LONG_IN_BATCH = frozenset({"items", "tags", "metadata"})


def job_of(tx: Connection, account_id: str, job_id: str, links: Links) -> documents.Job | None:
    """Return the document of an account's job, or None."""
    job = job_store.get(tx, account_id, job_id)
    if job is None:
        return None
    return job_document(job, asset_store.of_jobs(tx, [job.id]).get(job.id, []), links)


def batch_of(
    tx: Connection, account_id: str, batch_id: str, links: Links
) -> documents.Batch | None:
    """Return the document of an account's batch, or None."""
    batch = batch_store.get(tx, account_id, batch_id)
    if batch is None:
        return None
    jobs = batch_store.jobs_of(tx, batch.id)
    outputs_of = asset_store.of_jobs(tx, [job.id for job in jobs])
    return batch_document(batch, jobs, outputs_of, links)


def forms_of(
    tx: Connection, account_id: str, subject: str, links: Links
) -> list[Mapping[str, Any]]:
    """Return the subject's document, full and shortened; empty if there is none."""
    if job := job_of(tx, account_id, subject, links):
        return [{"job": job}, {"job": _without(job, _LONG_IN_JOB)}]
    if batch := batch_of(tx, account_id, subject, links):
        return [{"batch": batch}, {"batch": _without(batch, _LONG_IN_BATCH)}]
    return []


def _without(document: Mapping[str, Any], names: Collection[str]) -> JsonObject:
    return {name: value for name, value in document.items() if name not in names}

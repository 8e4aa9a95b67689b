"""The public documents of jobs and batches, and how a batch's status follows from its jobs."""

from collections import Counter
from typing import Any

import pytest

from safelight import documents
from safelight.assets.urls import Links
from safelight.jobs import view
from safelight.jobs.job import JobStatus, Tally, batch_status
from tests import factories

# As the design lists them.
FIELDS = """
    id kind status stage progress queue_position eta_s prompt model provider params outputs error
    cost_micros estimate_micros attempts batch_id tags metadata created_at started_at finished_at
    status_url events_url
"""
LINKS = Links("https://example.com", "https://example.com/files", "a secret")


@pytest.mark.parametrize(
    ("jobs", "problems", "status"),
    [
        ("queued queued", 0, "queued"),
        ("queued queued", 1, "queued"),
        ("queued running", 0, "running"),
        ("waiting", 0, "running"),
        ("queued succeeded", 0, "running"),
        ("queued canceled", 0, "running"),
        ("succeeded succeeded", 0, "succeeded"),
        ("succeeded", 1, "partial"),
        ("succeeded failed", 0, "partial"),
        ("succeeded canceled", 0, "partial"),
        ("failed failed", 0, "failed"),
        ("failed canceled", 0, "failed"),
        ("canceled canceled", 0, "canceled"),
        ("canceled", 1, "failed"),
        ("", 3, "failed"),
    ],
)
def test_batch_status_when_derived_follows_its_jobs(jobs: str, problems: int, status: str) -> None:
    counts = Counter(JobStatus(word) for word in jobs.split())
    assert batch_status(Tally(counts, 0, problems)) == status


@pytest.mark.parametrize("status", JobStatus)
def test_public_status_when_a_job_waits_at_its_provider_is_running(status: JobStatus) -> None:
    shown = view.public_status(factories.job(status=status))
    assert shown == ("running" if status is JobStatus.WAITING else status.value)


def test_job_document_when_made_has_all_the_fields_of_the_design() -> None:
    document = view.job_document(factories.job(id="job_1"), [], LINKS)
    assert set(document) >= set(FIELDS.split())
    assert document["status_url"] == "https://example.com/v1/jobs/job_1"
    assert document["events_url"] == "https://example.com/v1/jobs/job_1/events"


def test_job_document_when_the_cost_is_unknown_says_null_and_never_zero() -> None:
    assert view.job_document(factories.job(), [], LINKS)["cost_micros"] is None
    assert view.job_document(factories.job(cost_micros=0), [], LINKS)["cost_micros"] == 0


def test_job_document_when_a_retried_job_has_an_old_error_shows_none() -> None:
    waiting = factories.job(status=JobStatus.QUEUED, error=factories.PROBLEM)
    assert view.job_document(waiting, [], LINKS)["error"] is None
    failed = factories.job(status=JobStatus.FAILED, error=factories.PROBLEM)
    assert view.job_document(failed, [], LINKS)["error"] == factories.PROBLEM


def batch_of(*statuses: JobStatus, problems: int = 0, **changes: Any) -> documents.Batch:
    jobs = [
        factories.job(status=status, batch_id="bat_1", batch_index=problems + index, **changes)
        for index, status in enumerate(statuses)
    ]
    refused = [{"index": index, "name": "x", "problem": {}} for index in range(problems)]
    return view.batch_document(factories.batch(problems=refused), jobs, {}, LINKS)


def test_batch_document_when_items_were_refused_counts_and_lists_them_in_order() -> None:
    document = batch_of(JobStatus.SUCCEEDED, JobStatus.WAITING, problems=2)
    assert document["counts"] == {
        "total": 4,
        "queued": 0,
        "running": 1,
        "succeeded": 1,
        "failed": 2,
        "canceled": 0,
    }
    assert [item["index"] for item in document["items"]] == [0, 1, 2, 3]
    assert [item["job"] is None for item in document["items"]] == [True, True, False, False]


def test_batch_progress_when_some_jobs_ended_counts_those_as_whole() -> None:
    assert batch_of(JobStatus.FAILED, JobStatus.RUNNING, progress=50.0)["progress"] == 75.0
    assert batch_of(JobStatus.SUCCEEDED, problems=1)["progress"] == 100.0
    assert batch_of()["progress"] == 100.0

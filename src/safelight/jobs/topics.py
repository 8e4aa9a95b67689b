"""Doorbell topics for jobs: the job, its batch, and its lane. Pure."""

from collections.abc import Iterable

from safelight.doorbell import doorbell
from safelight.jobs.job import Job, JobStatus

_CLAIMABLE = frozenset({JobStatus.QUEUED, JobStatus.WAITING})


def topics_of(jobs: Iterable[Job]) -> list[str]:
    """Return the distinct topics; lanes only for jobs that can be claimed."""
    topics: dict[str, None] = {}
    for job in jobs:
        topics[doorbell.subject(job.id)] = None
        if job.batch_id:
            topics[doorbell.subject(job.batch_id)] = None
        if job.status in _CLAIMABLE:
            topics[doorbell.lane(job.lane)] = None
    return list(topics)

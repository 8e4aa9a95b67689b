"""Topics of a ring about jobs: their viewers, their batches, the workers of their lanes. Pure."""

from collections.abc import Iterable

from safelight.doorbell import doorbell
from safelight.jobs.job import Job, JobStatus

_CLAIMABLE = frozenset({JobStatus.QUEUED, JobStatus.WAITING})


def topics_of(jobs: Iterable[Job]) -> list[str]:
    """Return each topic once; the lane only of jobs that a worker may claim."""
    topics: dict[str, None] = {}
    for job in jobs:
        topics[doorbell.subject(job.id)] = None
        if job.batch_id:
            topics[doorbell.subject(job.batch_id)] = None
        if job.status in _CLAIMABLE:
            topics[doorbell.lane(job.lane)] = None
    return list(topics)

"""The state of a claimed job in this worker, and how it can be recovered if abandoned."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from safelight.jobs.job import Claim, Job


class Recovery(StrEnum):
    """How a run could be recovered if abandoned now; guides a worker that stops."""

    RESUMABLE = "resumable"  # nothing was sent, or there is a ticket
    REPEATABLE = "repeatable"  # it can be repeated, but work done is lost
    SINGULAR = "singular"  # it may be paid for, and only this call gets the response


@dataclass(frozen=True, slots=True)
class Clock:
    """The database's clock, read once and extrapolated with a monotonic clock."""

    at: datetime
    read_at: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """Return the estimated time of the database."""
        return self.at + timedelta(seconds=time.monotonic() - self.read_at)


@dataclass(slots=True, eq=False)
class Run:
    """A claimed job that is running here."""

    job: Job
    clock: Clock
    resumes: bool = False  # the job was `waiting`, so it may have an open attempt
    recovery: Recovery = Recovery.RESUMABLE

    @property
    def claim(self) -> Claim:
        """The newest claim on the job."""
        return Claim(self.job.id, self.job.fence)

    def now(self) -> datetime:
        """Return the estimated time of the database."""
        return self.clock.now()

    def time_left(self) -> timedelta:
        """Return the time left until the job's timeout, from its first start; at least 0."""
        if self.job.started_at is None:
            return self.job.timeout
        return max(self.job.started_at + self.job.timeout - self.now(), timedelta())

    def take_over(self, job: Job) -> None:
        """Continue under a newer claim of the same job."""
        self.job = job

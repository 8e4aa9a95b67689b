"""A claimed job under way at this worker, and what it would cost to let go of it."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from safelight.jobs.job import Claim, Job


class Hold(StrEnum):
    """What it would cost to let go of a run now; a worker that stops acts by it."""

    RESUMABLE = "resumable"  # nothing was sent, or a ticket stands for it
    REPEATABLE = "repeatable"  # it may be done again, but what was done is lost
    SINGULAR = "singular"  # it may be paid for, and the answer comes only here


@dataclass(frozen=True, slots=True)
class Clock:
    """The database's clock, read once and carried on by a monotonic one."""

    at: datetime
    read_at: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """Return the time, as far as the database would say the same."""
        return self.at + timedelta(seconds=time.monotonic() - self.read_at)


@dataclass(slots=True, eq=False)
class Run:
    """A claimed job under way."""

    job: Job
    clock: Clock
    resumes: bool = False  # the job was `waiting`: it may have an open attempt
    hold: Hold = Hold.RESUMABLE

    @property
    def claim(self) -> Claim:
        """The right to write the job, of the newest claim."""
        return Claim(self.job.id, self.job.fence)

    def now(self) -> datetime:
        """Return the database's time."""
        return self.clock.now()

    def time_left(self) -> timedelta:
        """Return how long until the job's time is up, counted from its first start; not below 0."""
        if self.job.started_at is None:
            return self.job.timeout
        return max(self.job.started_at + self.job.timeout - self.now(), timedelta())

    def take_over(self, job: Job) -> None:
        """Go on under a newer claim of the same job."""
        self.job = job

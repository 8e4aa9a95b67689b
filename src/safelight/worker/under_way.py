"""A claimed job under way at this worker, and what it would cost to let go of it."""

from dataclasses import dataclass
from enum import StrEnum

from safelight.jobs.job import Claim, Job


class Hold(StrEnum):
    """What it would cost to let go of a run now; a worker that stops acts by it."""

    RESUMABLE = "resumable"  # nothing was sent, or a ticket stands for it
    REPEATABLE = "repeatable"  # it may be done again, but what was done is lost
    SINGULAR = "singular"  # it may be paid for, and the answer comes only here


@dataclass(slots=True)
class Run:
    """A claimed job under way."""

    job: Job
    hold: Hold = Hold.RESUMABLE

    @property
    def claim(self) -> Claim:
        """The right to write the job."""
        return Claim(self.job.id, self.job.claim_no)

"""How jobs run: slots, leases, retries."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings


class WorkSettings(BaseSettings):
    """How jobs run: slots, leases, retries."""

    lanes: str = Field(
        default="",
        pattern=r"^$|^(local|gpu|ingest|remote)(,(local|gpu|ingest|remote))*$",
        description="Lanes that a worker serves, separated by commas; empty is all.",
    )
    local_slots: int = Field(
        default=0, ge=0, description="Concurrent jobs on this machine; 0 is one per processor core."
    )
    gpu_slots: int = Field(
        default=0,
        ge=0,
        description="Concurrent jobs on GPUs; 0 is one per device in the catalogue.",
    )
    ingest_slots: int = Field(default=32, ge=1, description="Concurrent downloads.")
    remote_slots: int = Field(
        default=2000, ge=1, description="Concurrent jobs at remote providers."
    )
    account_limit: int = Field(
        default=0,
        ge=0,
        description="Most jobs of one account in flight, over all workers; 0 is no limit.",
    )
    lease_s: float = Field(
        default=30,
        gt=0.1,
        description="Seconds without a renewal after which a worker's jobs are rescued.",
    )
    janitor_interval_s: float = Field(
        default=5, gt=0.01, description="Seconds between two rounds of the janitor."
    )
    grace_s: float = Field(
        default=30,
        ge=0,
        description="Seconds that running jobs get to finish when a process stops.",
    )
    max_attempts: int = Field(default=3, ge=1, le=20, description="Attempts before a job fails.")
    retry_base_s: float = Field(
        default=1,
        gt=0,
        description="Delay before the second attempt, in seconds; doubles each time.",
    )
    retry_cap_s: float = Field(
        default=60, gt=0, description="Longest delay between attempts, in seconds."
    )
    adopts_within_s: float = Field(
        default=900,
        ge=0,
        description="How long a job whose submit response was lost is looked up at fal or "
        "Replicate, or waits for their webhook, before it fails with "
        "`unknown_outcome`; in seconds.",
    )
    unknown_after_hours: float = Field(
        default=24,
        ge=0,
        description="How long after a job's time limit a provider that refuses status "
        "requests is still polled, before the job fails with "
        "`unknown_outcome`; in hours.",
    )

    @property
    def lease(self) -> timedelta:
        """The lease as a duration."""
        return timedelta(seconds=self.lease_s)

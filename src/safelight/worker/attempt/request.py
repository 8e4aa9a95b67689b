"""Builds provider requests from jobs."""

from collections.abc import Sequence
from pathlib import Path

from safelight.jobs.job import Attempt, Job
from safelight.providers.provider import InputFile, Kind, LostStart, ProviderRequest


def request_of(job: Job, inputs: Sequence[InputFile], folder: Path) -> ProviderRequest:
    """Return the provider's request; the provider may write to `folder`."""
    return ProviderRequest(
        kind=Kind(job.kind),
        model=job.model,
        prompt=job.prompt,
        params=job.params,
        inputs=tuple(inputs),
        folder=folder,
        source_url=job.source_url,
    )


def lost_start(job: Job, attempt: Attempt) -> LostStart:
    """Return the lookup request for an attempt whose response was lost."""
    return LostStart(
        attempt.id, attempt.sent_at or attempt.created_at, request_of(job, (), Path("nowhere"))
    )

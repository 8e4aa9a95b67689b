"""The request that a provider is given for a job."""

from collections.abc import Sequence
from pathlib import Path

from safelight.jobs.job import Attempt, Job
from safelight.providers.provider import InputFile, Kind, LostStart, ProviderRequest


def request_of(job: Job, inputs: Sequence[InputFile], folder: Path) -> ProviderRequest:
    """Return what a provider is told; it may write into `folder`."""
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
    """Return what a provider is told of an attempt whose answer was lost; it writes nowhere."""
    return LostStart(
        attempt.id, attempt.sent_at or attempt.created_at, request_of(job, (), Path("nowhere"))
    )

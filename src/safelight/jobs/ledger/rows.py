"""Converts rows to jobs and batches."""

from safelight.accounts.account import Visibility
from safelight.db.decoder import Decoder
from safelight.jobs.job import (
    Batch,
    Job,
    JobStatus,
)

to_job = Decoder(Job, status=JobStatus, visibility=Visibility)
"""Converts a row of `jobs`."""

to_batch = Decoder(Batch)
"""Converts a row of `batches`."""

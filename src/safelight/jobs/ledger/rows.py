"""Converts rows to jobs and batches."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping

from safelight.accounts.account import Visibility
from safelight.db.rows import from_row
from safelight.jobs.job import Batch, Job, JobStatus


def to_job(row: RowMapping | Mapping[str, Any]) -> Job:
    """Convert a row of `jobs`."""
    status, visibility = JobStatus(row["status"]), Visibility(row["visibility"])
    return from_row(Job, row, status=status, visibility=visibility)


def to_batch(row: RowMapping) -> Batch:
    """Convert a row of `batches`."""
    return from_row(Batch, row)

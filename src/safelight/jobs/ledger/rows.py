"""Converts rows to jobs and batches."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping

from safelight.accounts.account import Visibility
from safelight.jobs.job import (
    Batch,
    Job,
    JobStatus,
)


def to_job(row: RowMapping | Mapping[str, Any]) -> Job:
    """Convert a row of `jobs`."""
    fields: dict[str, Any] = {**row}
    fields["status"] = JobStatus(row["status"])
    fields["visibility"] = Visibility(row["visibility"])
    return Job(**fields)


def to_batch(row: RowMapping) -> Batch:
    """Convert a row of `batches`."""
    fields: dict[str, Any] = {**row}
    return Batch(**fields)

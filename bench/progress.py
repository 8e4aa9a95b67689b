"""How far a service's jobs have come, read from its own database while it works."""

import asyncio
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.service import Service

_EVERY_S = 0.2
_QUERY = """
SELECT count(*), count(started_at), count(finished_at),
       coalesce(sum(CASE WHEN status = 'failed' THEN 1 ELSE 0 END), 0),
       {created}, {started}, {finished}
FROM jobs WHERE prompt LIKE '{prefix}%'
"""
_SECONDS = {"postgresql": "extract(epoch FROM {})::float8", "sqlite": "{} / 1e6"}


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts, and seconds since 1970 by the database's clock: None where there is none yet."""

    jobs: int
    started: int
    finished: int
    failed: int
    first_submit: float | None
    first_start: float | None
    last_end: float | None

    def from_submit_s(self) -> float:
        """Return the seconds from the first submit to the last end."""
        return _between(self.first_submit, self.last_end)

    def from_start_s(self) -> float:
        """Return the seconds from the first start to the last end."""
        return _between(self.first_start, self.last_end)


def progress(service: Service, prefix: str) -> Progress:
    """Return how the jobs stand whose prompts begin with `prefix`, a plain word."""
    url = service.database_url
    dialect = url.partition(":")[0]
    spelled = _SECONDS[dialect]
    query = _QUERY.format(
        created=spelled.format("min(created_at)"),
        started=spelled.format("min(started_at)"),
        finished=spelled.format("max(finished_at)"),
        prefix=prefix,
    )
    jobs, started, finished, failed, *times = one_row(url, query)
    return Progress(int(jobs), int(started), int(finished), int(failed), *times)


async def all_finished(service: Service, prefix: str, count: int, deadline_s: float) -> Progress:
    """Return how it went once `count` jobs are final; raises where any of them failed."""
    until = time.monotonic() + deadline_s
    while (now := progress(service, prefix)).finished < count:
        if time.monotonic() > until:
            raise RuntimeError(f"{service.name}: {now.finished} of {count} after {deadline_s} s")
        await asyncio.sleep(_EVERY_S)
    if now.failed:
        raise RuntimeError(f"{service.name}: {now.failed} of {count} jobs failed")
    return now


def one_row(url: str, query: str) -> tuple[Any, ...]:
    """Return the only row of a query."""
    if url.startswith("sqlite:"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
        try:
            return connection.execute(query).fetchone()
        finally:
            connection.close()
    with psycopg.connect(url, connect_timeout=10) as database:
        return database.execute(query.encode()).fetchone() or ()


def _between(first: float | None, last: float | None) -> float:
    if first is None or last is None:
        raise RuntimeError("Nothing has started and ended yet.")
    return last - first

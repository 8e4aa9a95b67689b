"""Asks every witness at the end of a run: the database, the disk, and the provider's ledger."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight.db import tables
from safelight.db.engine import Database
from tests.chaos.history import Asset, Attempt, Call, Event, History, Job, Sighting, Wish


async def collect(
    database: Database, data_dir: Path, wishes: Iterable[Wish], sightings: Iterable[Sighting]
) -> History:
    """Return the whole history; nothing may be under way any more."""

    def read(tx: Connection) -> dict[str, Any]:
        return {
            "jobs": tuple(map(_job, _rows(tx, tables.jobs))),
            "attempts": tuple(map(_attempt, _rows(tx, tables.attempts))),
            "events": tuple(map(_event, _rows(tx, tables.events))),
            "assets": tuple(map(_asset, _rows(tx, tables.assets))),
            "noted_keys": frozenset(
                key for row in _rows(tx, tables.loose_objects) for key in row["object_keys"]
            )
            | frozenset(row["key"] for row in _rows(tx, tables.originals)),
        }

    return History(
        **await database.read(read),
        wishes=tuple(wishes),
        sightings=tuple(sightings),
        calls=tuple(calls(data_dir)),
        stored_keys=frozenset(_files(data_dir / "objects")),
    )


def calls(data_dir: Path) -> Iterator[Call]:
    """Yield what the provider has written down so far, call by call."""
    ledger = data_dir / "fake-ledger.jsonl"
    for line in ledger.read_text().splitlines() if ledger.exists() else ():
        entry = json.loads(line)
        yield Call(
            what=entry["what"],
            attempt_id=entry["attempt"],
            ticket=entry.get("ticket"),
            prompt=entry["prompt"],
            at=entry["at"],
            cost_micros=entry.get("cost_micros") or 0,
            is_confirmed=entry.get("confirmed", False),
        )


def _rows(tx: Connection, table: sa.Table) -> Iterable[RowMapping]:
    return tx.execute(sa.select(table)).mappings()


def _job(row: RowMapping) -> Job:
    return Job(
        id=row["id"],
        prompt=row["prompt"],
        status=row["status"],
        code=_code(row),
        repeatable=row["repeatable"],
        crashes=row["crashes"],
        seq=row["seq"],
        model=row["model"],
        cost_micros=row["cost_micros"],
        cost_known_micros=row["cost_known_micros"],
        finished_at=row["finished_at"],
    )


def _attempt(row: RowMapping) -> Attempt:
    return Attempt(
        id=row["id"],
        job_id=row["job_id"],
        number=row["number"],
        state=row["state"],
        outcome=row["outcome"],
        ticket=row["ticket"],
        code=_code(row),
        ground=row["ground"],
        cost_micros=row["cost_micros"],
        closed_at=row["closed_at"],
        unknown_at=row["unknown_at"],
    )


def _event(row: RowMapping) -> Event:
    return Event(row["subject"], row["seq"], row["type"])


def _asset(row: RowMapping) -> Asset:
    renditions: Mapping[str, Mapping[str, Any]] = row["renditions"]
    keys = {row["key"], row["original_key"], *(each["key"] for each in renditions.values())}
    return Asset(row["id"], row["job_id"], row["position"], frozenset(keys - {None}))


def _code(row: RowMapping) -> str | None:
    return row["error"]["code"] if row["error"] else None


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()

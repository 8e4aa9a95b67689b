"""The processes that do the work: each renews its row, and counts as gone when it does not.

A process without a worker's role has no lanes. Rows are few, so they are read whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.rows import from_row
from safelight.db.tables import processes
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.jobs.scheduling import lane_counts

_KEPT = timedelta(days=1)  # after the last sign of life


@dataclass(frozen=True, slots=True)
class _Described:
    """A process as it describes itself. `lanes` are the slots by lane."""

    id: str
    host: str
    pid: int
    roles: Sequence[str]
    lanes: Mapping[str, int]
    version: str
    running: int


@dataclass(frozen=True, slots=True)
class Process(_Described):
    """A row of `processes`; `alive` is by the database's clock."""

    started_at: datetime
    seen_at: datetime
    alive: bool


@dataclass(frozen=True, slots=True)
class Beat(_Described):
    """The heartbeat of a process, which counts as gone `lease` after its last one."""

    lease: timedelta


def beat(tx: Connection, said: Beat) -> None:
    """Insert or renew the row of a process."""
    values = {
        "host": said.host,
        "pid": said.pid,
        "roles": list(said.roles),
        "lanes": dict(said.lanes),
        "version": said.version,
        "running": said.running,
        "seen_at": now(),
        "due_at": now(said.lease),
    }
    statement = upsert(tx, processes).values(id=said.id, started_at=now(), **values)
    tx.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def leave(tx: Connection, process_id: str) -> None:
    """Remove the row of a process that stops in order."""
    tx.execute(sa.delete(processes).where(processes.c.id == process_id))


def leave_all(tx: Connection) -> None:
    """Remove all rows, where none of those processes can be alive."""
    tx.execute(sa.delete(processes))


def forget_gone(tx: Connection) -> None:
    """Remove rows of processes that died long ago."""
    tx.execute(sa.delete(processes).where(processes.c.seen_at < now(-_KEPT)))


def all_known(tx: Connection) -> list[Process]:
    """Return the processes of the last day, the oldest first."""
    alive = (processes.c.due_at >= now()).label("alive")
    columns = [column for column in processes.c if column.name != "due_at"]
    query = sa.select(*columns, alive).order_by(processes.c.started_at, processes.c.id)
    return [
        from_row(Process, row, alive=bool(row["alive"])) for row in tx.execute(query).mappings()
    ]


def served(known: Sequence[Process]) -> set[str]:
    """Return the lanes with a living worker."""
    return {lane for each in known if each.alive for lane, slots in each.lanes.items() if slots}


def unserved(tx: Connection) -> list[str]:
    """Return the lanes with due work and no living worker."""
    return sorted(set(lane_counts.lanes_due(tx)) - served(all_known(tx)))

"""The writes of all runs, coalesced across this worker."""

from collections.abc import Sequence
from dataclasses import dataclass

from safelight.assets import store as asset_store
from safelight.assets.asset import NewAsset
from safelight.db import Connection
from safelight.db.coalesced import Coalesced
from safelight.db.engine import Database
from safelight.jobs.job import Attempt, Claim, Job
from safelight.jobs.ledger import attempts, moves
from safelight.jobs.scheduling import breakers


@dataclass(frozen=True, slots=True)
class Success:
    """A successful attempt, with the rows of its stored outputs."""

    job_id: str
    attempt_id: str
    cost_micros: int | None
    rows: list[NewAsset]


class Writes:
    """Coalesced writes; each raises `StaleJob` if another process has moved the job."""

    def __init__(self, database: Database) -> None:
        self.send: Coalesced[tuple[Claim, str], Attempt] = Coalesced(database, attempts.send_all)
        self.keep_ticket: Coalesced[tuple[str, str], bool] = Coalesced(
            database, attempts.keep_tickets
        )
        self.park: Coalesced[moves.Parking, Job] = Coalesced(database, park_all)
        self.report: Coalesced[moves.Progress, Job] = Coalesced(database, moves.progress_all)
        self.succeed: Coalesced[Success, Job] = Coalesced(database, succeed_all)


def park_all(tx: Connection, parkings: Sequence[moves.Parking]) -> list[Job | Exception]:
    """Park jobs with their providers, and note which providers answered."""
    moved = moves.park_all(tx, parkings)
    told = zip(parkings, moved, strict=True)
    breakers.note_seen(
        tx, {job.provider for one, job in told if one.answered and isinstance(job, Job)}
    )
    return moved


def succeed_all(tx: Connection, ended: Sequence[Success]) -> list[Job | Exception]:
    """Finish jobs with their outputs and attempts, each atomically."""
    moved = moves.succeed_all(
        tx, [moves.Finish(one.job_id, one.attempt_id, one.cost_micros) for one in ended]
    )
    won = [success for success, job in zip(ended, moved, strict=True) if isinstance(job, Job)]
    asset_store.insert(tx, [row for success in won for row in success.rows])
    attempts.succeed_all(tx, [(success.attempt_id, success.cost_micros) for success in won])
    breakers.note_successes(tx, [job.provider for job in moved if isinstance(job, Job)])
    return moved

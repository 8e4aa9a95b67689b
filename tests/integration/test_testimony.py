"""Two processes judge one attempt: what one has proved, the other does not guess about."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from safelight.assets.service import Assets
from safelight.db.engine import Database
from safelight.errors import ServiceError
from safelight.jobs.job import Attempt, Ground, Job, JobStatus, Outcome
from safelight.jobs.ledger import attempts
from safelight.jobs.retry import RetryPolicy
from safelight.storage.disk import DiskStorage
from safelight.worker.attempt import verdict
from safelight.worker.attempt.run_state import Clock, Run
from safelight.worker.attempt.settlement import Settlement
from safelight.worker.attempt.verdict import Judgment, Situation
from safelight.worker.attempt.writes import Writes
from tests import factories


async def _settled(database: Database, folder: Path, job: Job, attempt: Attempt, judge) -> Job:
    assets = Assets(database, DiskStorage(folder / "objects"))
    settlement = Settlement(database, assets, RetryPolicy(), Writes(database))
    run = Run(job, Clock(datetime.now(UTC)), resumes=True)
    return await settlement.settle(run, attempt, judge, timedelta())


async def _lost(database: Database, account: str) -> tuple[Job, Attempt]:
    """Return a running job, and its paid attempt whose answer was lost."""
    job = await factories.run_one(database, account, repeatable=False)

    def lose(tx: Connection) -> Attempt:
        attempt = factories.send(tx, factories.claim_of(job))
        attempts.lose_sight(tx, attempt.id)
        return attempt

    return job, await database.write(lose)


def _unheard(at: Situation) -> Judgment:
    return verdict.unheard(at, timedelta())


@pytest.mark.parametrize(
    "judge",
    [
        _unheard,
        partial(verdict.answer_lost, error=ServiceError("gone")),
        partial(verdict.look_failed, error=ServiceError("gone")),
        lambda at: verdict.absent(at, timedelta(hours=1)),
    ],
    ids=["unheard", "answer-lost", "look-failed", "absent"],
)
async def test_attempt_when_its_first_worker_has_closed_it_ends_no_job_as_unknown(
    database: Database, account: str, tmp_path: Path, judge
) -> None:
    job, attempt = await _lost(database, account)
    refused = partial(
        factories.close, attempt_id=attempt.id, outcome=Outcome.FAILED, ground=Ground.REFUSED
    )
    assert await database.write(refused)
    settled = await _settled(database, tmp_path, job, attempt, judge)
    assert settled.status is JobStatus.QUEUED


@pytest.mark.parametrize(
    "judge", [_unheard, lambda at: verdict.absent(at, timedelta())], ids=["unheard", "absent"]
)
async def test_attempt_when_its_ticket_comes_during_the_look_up_keeps_it(
    database: Database, account: str, tmp_path: Path, judge
) -> None:
    job, attempt = await _lost(database, account)
    assert await database.write(lambda tx: factories.keep_ticket(tx, attempt.id, "ticket"))
    settled = await _settled(database, tmp_path, job, attempt, judge)
    assert settled.status is JobStatus.WAITING
    kept = await database.read(lambda tx: attempts.current(tx, job.id))
    assert kept is not None
    assert kept.ticket == "ticket"

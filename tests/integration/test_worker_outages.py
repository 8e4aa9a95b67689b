"""The database goes away while a run is settled: what was made is neither lost nor made again."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from safelight.assets.intake import Intake
from safelight.db.engine import Work
from safelight.errors import ServiceError
from safelight.jobs.job import Ground, JobStatus, Outcome
from safelight.media.pictures.inspect import InspectRules
from safelight.worker.attempt.writes import Writes
from tests.workshop import FlakyDatabase, Workshop, working

T = TypeVar("T")


@dataclass
class BreakingDatabase(FlakyDatabase):
    """A database whose connection breaks at the named write, before or after its commit."""

    before: list[str] = field(default_factory=list[str])
    after: list[str] = field(default_factory=list[str])

    async def write(self, work: Work[T]) -> T:
        self._break(work, self.before)
        result = await self.behind.write(work)
        self._break(work, self.after)
        return result

    @staticmethod
    def _break(work: Work[T], names: list[str]) -> None:
        for name in names:
            if name in work.__qualname__:
                names.remove(name)
                raise ServiceError("The database broke the connection.")


@pytest.fixture
def breaking(shop: Workshop) -> BreakingDatabase:
    """The database that the shop's runs write to."""
    database = BreakingDatabase(shop.database.behind)
    settlement = replace(shop.runner.settlement, database=database, writes=Writes(database))
    shop.runner = replace(shop.runner, database=database, settlement=settlement)
    return database


async def test_result_when_the_database_is_away_is_written_once_it_is_back(
    shop: Workshop, breaking: BreakingDatabase
) -> None:
    breaking.before += ["succeed_all"] * 2
    job = await shop.queue(params={"outputs": 1}, repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, done.crashes, shop.calls(job)["start"]) == (1, 0, 1)


async def test_result_when_the_database_is_away_before_it_is_kept_waits_and_is_not_made_again(
    shop: Workshop, breaking: BreakingDatabase
) -> None:
    shop.runner = replace(
        shop.runner, intake=Intake(breaking, shop.storage, shop.pool, InspectRules())
    )
    breaking.before += ["note_all"] * 2
    job = await shop.queue(params={"outputs": 1})
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert breaking.before == []
    assert (done.attempts, shop.calls(job)["start"]) == (1, 1)


async def test_result_when_its_commit_was_not_heard_of_stands_with_its_files(
    shop: Workshop, breaking: BreakingDatabase
) -> None:
    breaking.after += ["succeed_all"]
    job = await shop.queue(params={"outputs": 1})
    async with working(shop.worker()):
        await shop.until(job, JobStatus.SUCCEEDED)
    assert [attempt.outcome for attempt in await shop.attempts(job)] == [Outcome.SUCCEEDED]
    assert list(shop.ledger_file.parent.glob("objects/images/*/*")), "its picture was removed"


async def test_failure_when_the_database_is_away_is_written_once_it_is_back(
    shop: Workshop, breaking: BreakingDatabase
) -> None:
    breaking.before += ["Settlement.fail"] * 2
    job = await shop.queue(params={"errors": ["provider_failed"]}, repeatable=False)
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.crashes, shop.calls(job)["start"]) == (0, 2)


async def test_paid_work_when_the_commit_of_its_attempt_was_not_heard_of_is_started_after_all(
    shop: Workshop, breaking: BreakingDatabase
) -> None:
    breaking.after += ["send_all"]
    job = await shop.queue(repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.calls(job)["start"] == 1
    grounds = [attempt.ground for attempt in await shop.attempts(job)]
    assert grounds == [Ground.UNSENT, Ground.VERDICT]

"""Of several who may do a thing, one does it: the others are refused, however they are timed."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, event

from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.jobs.job import Attempt, Claim, Job, StaleJob
from safelight.jobs.ledger import attempts, callback_store, moves
from safelight.jobs.scheduling import breakers, claims
from safelight.jobs.scheduling.breakers import TRIPS_AT
from safelight.providers.errors import ProviderError
from tests import factories
from tests.factories import claim_of


async def open_attempts(database: Database, *held: Claim) -> Sequence[Attempt | Exception]:
    wanted = [(claim, "fake") for claim in held]
    return await database.write(lambda tx: attempts.send_all(tx, wanted))


async def opened(database: Database, job: Job) -> list[Attempt]:
    return await database.read(lambda tx: attempts.of_job(tx, job.id))


# --- an attempt is opened by the claim that holds ------------------------------------------------


async def claimed_twice(database: Database, account: str, first: str, second: str) -> list[Job]:
    """Return a job as two claims of it brought it; between them its lease ran out."""
    stale = await factories.run_one(database, account)
    assert stale.leased_by == first
    await database.write(claims.end_all_leases)

    def rescue(tx: Connection) -> list[Job]:
        found = moves.expired_leases(tx, limit=9)
        attempts.let_go(tx, found)
        return moves.rescue(tx, found)

    (rescued,) = await database.write(rescue)
    await factories.make_due(database, rescued)
    ready = sa.update(tables.jobs).values(ready=True)
    await database.write(lambda tx: tx.execute(ready))
    (fresh,) = await factories.claim(database, worker=second)
    assert fresh.id == stale.id
    return [stale, fresh]


@pytest.mark.parametrize("second", ["wrk_1", "wrk_2"], ids=["same worker", "another worker"])
async def test_open_when_another_claim_has_come_is_refused_and_writes_nothing(
    database: Database, account: str, second: str
) -> None:
    """The stale claim comes first, so that no open attempt stands in its way."""
    stale, fresh = await claimed_twice(database, account, "wrk_1", second)
    (refused,) = await open_attempts(database, claim_of(stale))
    assert isinstance(refused, StaleJob)
    assert await opened(database, stale) == []
    assert (await database.read(lambda tx: factories.reread(tx, fresh))).attempts == 0
    (attempt,) = await open_attempts(database, claim_of(fresh))
    assert isinstance(attempt, Attempt)
    assert [each.id for each in await opened(database, fresh)] == [attempt.id]


async def test_open_when_the_claim_was_handed_back_is_refused(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    await database.write(lambda tx: moves.release(tx, [claim_of(job)]))
    (refused,) = await open_attempts(database, claim_of(job))
    assert isinstance(refused, StaleJob)
    assert await opened(database, job) == []


async def test_open_when_several_come_at_once_refuses_the_void_ones_alone(
    database: Database, account: str
) -> None:
    stale, fresh = await claimed_twice(database, account, "wrk_1", "wrk_2")
    other = await factories.run_one(database, account)
    void = await factories.run_one(database, account)
    await database.write(lambda tx: moves.cancel(tx, void.id))
    found = await open_attempts(database, claim_of(stale), claim_of(other), claim_of(void))
    assert [type(each) for each in found] == [StaleJob, Attempt, StaleJob]
    assert await opened(database, fresh) == []


async def test_stale_claim_when_it_moves_its_job_is_refused_every_move(
    database: Database, account: str
) -> None:
    stale, fresh = await claimed_twice(database, account, "wrk_1", "wrk_2")
    void = claim_of(stale)
    at = factories.NOON

    def park(tx: Connection) -> Job:
        return factories.park(tx, void, check_at=at, wakes=0, stage="", progress=0)

    tried = (
        park,
        lambda tx: factories.succeed(tx, void, cost_micros=1),
        lambda tx: factories.report(tx, void, percent=50, stage="late"),
        lambda tx: moves.retry(tx, void, at=at, error=factories.PROBLEM),
        lambda tx: moves.snooze(tx, void, until=at, reason="late"),
        lambda tx: moves.fail(tx, void, error=factories.PROBLEM),
        lambda tx: moves.lock_claimed(tx, void),
    )
    for move in tried:
        with pytest.raises(StaleJob):
            await database.write(move)
    assert await database.write(lambda tx: moves.release(tx, [void])) == []
    held = await database.write(
        lambda tx: claims.renew(tx, worker="wrk_1", running=[void], lease=factories.LEASE)
    )
    assert held == set()
    assert await database.read(lambda tx: factories.reread(tx, fresh)) == fresh


# --- the trial of a provider is one job, for all workers ------------------------------------------


async def on_trial(database: Database) -> None:
    """Let the provider fail until it is shut, and its pause pass."""
    for _ in range(TRIPS_AT):
        await database.write(lambda tx: breakers.note_fault(tx, "fake", ProviderError()))
    over = sa.update(tables.breakers).values(shut_until=now(timedelta(seconds=-1)))
    await database.write(lambda tx: tx.execute(over))


async def test_trial_when_two_have_seen_that_it_is_free_is_given_to_one(
    database: Database, account: str
) -> None:
    await on_trial(database)
    seen = [await database.read(lambda tx: breakers.passages(tx, ["fake"])) for _ in range(2)]
    assert [each["fake"].starts for each in seen] == [1, 1]
    given = [await database.write(lambda tx: breakers.begin_trial(tx, "fake")) for _ in range(3)]
    assert given == [True, False, False]


async def test_trial_when_many_workers_claim_at_once_starts_one_job(
    database: Database, account: str
) -> None:
    for _ in range(40):
        await factories.queue(database, account)
    await on_trial(database)
    taken = await asyncio.gather(
        *(factories.claim(database, worker=f"wrk_{number}", slots=5) for number in range(8))
    )
    assert len([job for jobs in taken for job in jobs]) == 1


async def test_trial_when_it_is_lost_between_look_and_claim_starts_nothing(
    database: Database, account: str
) -> None:
    """As the claim's own look said that it was free, only the taking itself can refuse it."""
    for _ in range(3):
        await factories.queue(database, account)
    await on_trial(database)

    def claim(tx: Connection) -> list[Job]:
        taken = claims.claim(tx, worker="wrk_1", lane="remote", slots=5, lease=factories.LEASE)
        return taken.jobs

    def lost(tx: Connection) -> list[Job]:
        event.listen(tx, "before_cursor_execute", take_it_first, retval=False)
        try:
            return claim(tx)
        finally:
            event.remove(tx, "before_cursor_execute", take_it_first)

    taking = False

    def take_it_first(tx: Connection, *given: object) -> None:
        nonlocal taking
        statement = str(given[1])
        if taking or not statement.startswith("UPDATE breakers"):
            return
        taking = True
        assert breakers.begin_trial(tx, "fake")

    assert await database.write(lost) == []
    assert taking


# --- a callback finds the attempt of its own provider --------------------------------------------


async def test_callback_when_two_providers_gave_the_same_ticket_finds_its_own(
    database: Database, account: str
) -> None:
    made: dict[str, Attempt] = {}
    for provider in ("fal", "replicate"):
        job = await factories.run_one(database, account, provider=provider, repeatable=False)
        made[provider] = await database.write(
            lambda tx, job=job, name=provider: factories.send(tx, claim_of(job), name)
        )
        assert await database.write(
            lambda tx, name=provider: factories.keep_ticket(tx, made[name].id, "same-ticket")
        )
    for provider, other in (("fal", "replicate"), ("replicate", "fal")):
        for attempt_id, ticket, found in (
            (None, "same-ticket", made[provider].id),
            (made[provider].id, None, made[provider].id),
            (made[provider].id, "same-ticket", made[provider].id),
            (made[other].id, None, None),
            (made[other].id, "same-ticket", None),
            (None, "another", None),
            (None, None, None),
        ):
            assert (
                await database.read(
                    lambda tx, name=provider, one=attempt_id, two=ticket: callback_store.find(
                        tx, name, one, two
                    )
                )
                == found
            )
    assert await database.read(lambda tx: callback_store.find(tx, "x", None, "same-ticket")) is None


async def test_callback_when_it_wakes_a_job_wakes_no_other(
    database: Database, account: str
) -> None:
    one, other = [await factories.run_one(database, account) for _ in range(2)]
    attempt = await database.write(lambda tx: factories.send(tx, claim_of(one)))
    await database.write(lambda tx: factories.send(tx, claim_of(other)))
    woken = await database.write(lambda tx: callback_store.wake(tx, attempt.id))
    assert woken is not None
    assert woken.job_id == one.id
    wakes = [
        await database.read(lambda tx, job=job: factories.reread(tx, job).wakes)
        for job in (one, other)
    ]
    assert wakes == [1, 0]

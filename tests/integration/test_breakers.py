"""A provider that fails is left alone by all workers, tried with one job, and taken back."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import errors
from safelight.accounts.scopes import OWNER_SCOPES
from safelight.db.engine import Database
from safelight.db.tables import attempts
from safelight.db.tables import breakers as table
from safelight.db.tables import events as event_log
from safelight.db.types import now
from safelight.fetch.errors import FetchError
from safelight.jobs.errors import ProvidersUnwell
from safelight.jobs.job import JobStatus
from safelight.jobs.operations import Operations
from safelight.jobs.scheduling import breakers
from safelight.jobs.scheduling.breakers import TRIPS_AT
from safelight.media.errors import MediaTruncated
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRejected,
    ProviderUnauthorized,
)
from safelight.storage.errors import StorageFailed
from safelight.worker.senders.webhooks import Notifier
from tests import factories
from tests.receivers import Receiver, endpoint
from tests.servers import wait_until_async
from tests.workshop import Workshop, working


async def note(database: Database, *found: errors.SafelightError, provider: str = "fake") -> None:
    for error in found:
        await database.write(lambda tx, error=error: breakers.note_fault(tx, provider, error))


async def pass_time(database: Database) -> None:
    """Let every pause be over."""
    over = sa.update(table).values(shut_until=now(timedelta(seconds=-1)))
    await database.write(lambda tx: tx.execute(over))


async def test_provider_when_it_fails_in_a_row_is_shut_and_then_given_one_job(
    database: Database, account: str
) -> None:
    for _ in range(3):
        await factories.queue(database, account)
    await note(database, *[ProviderError()] * (TRIPS_AT - 1))
    (first,) = await factories.claim(database, slots=1)
    await note(database, ProviderError())
    assert await factories.claim(database) == []
    with pytest.raises(ProvidersUnwell, match="fake"):
        await Operations(database).check_providers()
    await pass_time(database)
    (trial,) = await factories.claim(database)
    assert trial.id != first.id
    assert await factories.claim(database) == [], "one trial at a time"
    await database.write(lambda tx: breakers.note_successes(tx, ["fake"]))
    assert len(await factories.claim(database)) == 1
    await Operations(database).check_providers()


async def test_provider_when_its_trial_fails_is_shut_again(
    database: Database, account: str
) -> None:
    for _ in range(3):
        await factories.queue(database, account)
    await note(database, *[ProviderError()] * TRIPS_AT)
    await pass_time(database)
    assert len(await factories.claim(database)) == 1
    await note(database, ProviderError())
    assert await factories.claim(database) == []
    await pass_time(database)
    assert len(await factories.claim(database)) == 1


async def test_provider_when_it_asks_for_a_pause_is_left_alone_that_long_by_all(
    database: Database, account: str
) -> None:
    await factories.queue(database, account)
    await factories.queue(database, account, provider="other")
    await note(database, ProviderRateLimited(retry_after=timedelta(seconds=60)))
    await note(database, ProviderRateLimited(retry_after=timedelta(seconds=1)))
    assert [job.provider for job in await factories.claim(database)] == ["other"]
    (row,) = await database.read(breakers.unwell)
    assert (row.provider, row.faults, row.reason) == ("fake", 0, "provider_rate_limited")
    await database.write(lambda tx: breakers.note_successes(tx, ["fake"]))
    assert await factories.claim(database) == [], "a success of before ends no pause"
    await pass_time(database)
    assert len(await factories.claim(database)) == 1


@pytest.mark.parametrize("kind", [ProviderOutOfCredit, ProviderUnauthorized])
async def test_provider_when_our_account_there_is_at_fault_is_shut_at_once(
    database: Database, account: str, kind: type[errors.SafelightError]
) -> None:
    await factories.queue(database, account)
    await note(database, kind())
    assert await factories.claim(database) == []


async def test_provider_when_jobs_are_at_fault_stays_open(database: Database, account: str) -> None:
    await factories.queue(database, account)
    of_jobs = (
        ProviderRefused,
        ProviderBadInput,
        ProviderRejected,
        MediaTruncated,
        FetchError,
        StorageFailed,
    )
    await note(database, *[kind() for kind in of_jobs for _ in range(TRIPS_AT)])
    assert len(await factories.claim(database)) == 1


async def test_due_checks_when_their_provider_is_shut_go_on(
    database: Database, account: str
) -> None:
    job = await factories.run_one(database, account)
    await database.write(
        lambda tx: factories.park(
            tx,
            factories.claim_of(job),
            check_at=factories.NOON.replace(year=2020),
            wakes=0,
            stage="there",
            progress=1,
        )
    )
    await note(database, *[ProviderError()] * TRIPS_AT)
    assert [found.id for found in await factories.claim(database)] == [job.id]


async def test_jobs_when_their_provider_fails_for_all_trip_it_within_twenty_calls(
    shop: Workshop,
) -> None:
    shop.provider.start_error = ProviderError("down")
    jobs = [await shop.queue() for _ in range(40)]

    async def has_tripped() -> bool:
        return bool(await shop.database.read(breakers.unwell))

    async with working(shop.worker(slots=2)):
        await wait_until_async(has_tripped)
    assert sum(shop.calls(job)["start"] for job in jobs) <= 20
    for job in jobs:
        assert (await shop.look(job)).status is JobStatus.QUEUED


async def told(database: Database) -> list[tuple[str, str, int, dict[str, str]]]:
    """Return what operators were told, in order."""
    query = sa.select(event_log).where(event_log.c.type.like("provider.%")).order_by("seq")
    rows = await database.read(lambda tx: tx.execute(query).all())
    return [(row.account_id, row.type, row.seq, row.data) for row in rows]


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ([ProviderError("it is down")] * (TRIPS_AT + 3), "provider_failed"),
        ([ProviderUnauthorized("no")] * 3, "provider_unauthorized"),
        ([ProviderOutOfCredit("nothing left")] * 3, "provider_out_of_credit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_operator_when_a_provider_is_unwell_hears_of_it_once_and_once_of_its_recovery(
    database: Database, account: str, faults: list[errors.SafelightError], code: str
) -> None:
    await note(database, *faults)
    data = {"provider": "fake", "reason": code, "detail": faults[0].detail}
    assert await told(database) == [(account, "provider.degraded", 1, data)]
    await note(database, ProviderRateLimited(), *faults)
    for _ in range(2):
        await database.write(lambda tx: breakers.note_successes(tx, ["fake", "other"]))
    recovered = (account, "provider.recovered", 2, {"provider": "fake"})
    assert (await told(database))[1:] == [recovered]
    await note(database, *faults)
    assert (await told(database))[2:] == [(account, "provider.degraded", 3, data)]


async def test_operator_when_a_provider_asks_for_a_pause_or_errs_now_and_then_hears_nothing(
    database: Database, account: str
) -> None:
    await note(database, *[ProviderError()] * (TRIPS_AT - 1))
    await note(database, *[ProviderRateLimited()] * TRIPS_AT)
    await database.write(lambda tx: breakers.note_successes(tx, ["fake"]))
    assert await told(database) == []


async def test_operator_when_accounts_are_many_is_the_oldest_with_a_key_to_operate(
    database: Database, account: str
) -> None:
    added = [await factories.new_account(database) for _ in range(2)]
    oldest, guest, second = sorted([account, *added])
    assert oldest not in (guest, second)
    await factories.new_key(database, guest)
    await factories.new_key(database, second, OWNER_SCOPES)
    await note(database, ProviderUnauthorized())
    assert [row[0] for row in await told(database)] == [second]


async def test_webhook_when_it_asks_for_providers_is_told_of_them(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    await endpoint(database, account, receiver.url, "provider.*")
    await note(database, ProviderUnauthorized())
    await notifier.round()
    assert [each.event["type"] for each in receiver.got] == ["provider.degraded"]


async def is_shut(database: Database) -> bool:
    return bool(await database.read(breakers.unwell))


@pytest.mark.parametrize("kind", [ProviderOutOfCredit, ProviderUnauthorized])
async def test_provider_when_it_refuses_looks_is_named_with_the_remedy_until_it_answers_one(
    database: Database, account: str, kind: type[errors.SafelightError]
) -> None:
    await database.write(lambda tx: breakers.note_fault(tx, "fake", kind(), looking=True))
    with pytest.raises(ProvidersUnwell, match=f"fake \\({kind.code}\\) rejects lookups"):
        await Operations(database).check_providers()
    await database.write(lambda tx: breakers.note_seen(tx, ["other"]))
    assert await is_shut(database)
    await database.write(lambda tx: breakers.note_seen(tx, ["fake"]))
    await Operations(database).check_providers()
    assert [row[1] for row in await told(database)] == ["provider.degraded", "provider.recovered"]


async def test_provider_when_it_answers_a_look_is_taken_for_well_only_if_the_key_was_at_fault(
    database: Database, account: str
) -> None:
    def seen(tx: Connection) -> None:
        breakers.note_seen(tx, ["fake"])

    await note(database, ProviderUnauthorized())
    await database.write(seen)
    assert not await is_shut(database)
    await note(database, *[ProviderError()] * TRIPS_AT)
    await database.write(seen)
    assert await is_shut(database)
    await database.write(lambda tx: breakers.note_successes(tx, ["fake"]))
    await note(database, ProviderOutOfCredit())
    await database.write(seen)
    assert await is_shut(database), "work that is paid for is told of, whatever is left"


async def refuse(database: Database) -> None:
    """Let the provider refuse once, and its pause pass."""
    await note(database, ProviderRateLimited(retry_after=timedelta(seconds=1)))
    await pass_time(database)


async def per_minute(database: Database) -> float | None:
    found = await database.read(lambda tx: breakers.passages(tx, ["fake"]))
    return found["fake"].per_minute


async def test_provider_when_it_refuses_for_its_rate_is_started_at_more_slowly_and_then_faster(
    database: Database, account: str
) -> None:
    for _ in range(30):
        taken = factories.claim_of(await factories.run_one(database, account))
        await database.write(lambda tx, taken=taken: factories.send(tx, taken))
    for _ in range(30):
        await factories.queue(database, account)
    await note(database, *[ProviderRateLimited(retry_after=timedelta(seconds=9))] * 5)
    await pass_time(database)
    first = await per_minute(database)
    assert first == pytest.approx(24, abs=0.1), "four fifths of 30, however many were refused"
    assert len(await factories.claim(database, slots=30)) == 2, "a tenth of a minute at once"
    await refuse(database)
    assert await per_minute(database) == pytest.approx(0.8 * 24, abs=0.1)
    aged = sa.update(table).values(paced_at=now(timedelta(minutes=-5)))
    await database.write(lambda tx: tx.execute(aged))
    assert await per_minute(database) == pytest.approx(0.8 * 24 * 1.5**5, abs=0.5)
    aged = sa.update(table).values(paced_at=now(timedelta(minutes=-11)))
    await database.write(lambda tx: tx.execute(aged))
    assert await per_minute(database) is None
    assert len(await factories.claim(database, slots=100)) == 28


async def test_pace_when_what_was_taken_is_older_than_a_minute_is_not_slowed(
    database: Database, account: str
) -> None:
    for _ in range(12):
        taken = factories.claim_of(await factories.run_one(database, account))
        await database.write(lambda tx, taken=taken: factories.send(tx, taken))
    older = sa.update(attempts).values(created_at=now(timedelta(seconds=-61)))
    await database.write(lambda tx: tx.execute(older))
    await refuse(database)
    assert await per_minute(database) is None

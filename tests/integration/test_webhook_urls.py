"""Addresses that single jobs and batches name: told of the end, signed, logged, bounded."""

import asyncio
from datetime import datetime

import pytest
from standardwebhooks import Webhook

from safelight.db.engine import Database
from safelight.errors import InvalidRequest
from safelight.fetch import FetchPolicy, Poster
from safelight.jobs.ledger import batch_store
from safelight.webhooks.delivery import DeliveryState
from safelight.webhooks.service import Webhooks
from safelight.worker.senders.webhooks import Notifier
from tests import factories
from tests.factories import claim_of
from tests.receivers import ANY_PORT, LINKS, Receiver, at_work, endpoint, finish, log
from tests.servers import wait_until_async
from tests.sites import StubResolver


async def test_job_when_it_named_an_address_tells_it_of_its_end_alone(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    default = await Webhooks(database).default(account)
    await finish(database, account)
    job = await finish(database, account, webhook_url=f"{receiver.url}?job=1")
    await notifier.round()
    (message,) = receiver.got
    assert (message.path, message.event["type"]) == ("/hook?job=1", "job.succeeded")
    assert message.event["data"]["job"]["id"] == job.id
    assert Webhook(default.secret).verify(message.body, message.headers)
    (delivery,) = await log(database, default)
    assert (delivery.state, delivery.url) == (DeliveryState.DELIVERED, f"{receiver.url}?job=1")


async def test_job_when_an_endpoint_wants_its_end_too_tells_both(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    await Webhooks(database).default(account)
    await endpoint(database, account, f"{receiver.url}/all", "*")
    await finish(database, account, webhook_url=f"{receiver.url}/one")
    await notifier.round()
    told = sorted((message.path, message.event["type"]) for message in receiver.got)
    assert told == [
        ("/hook/all", "job.queued"),
        ("/hook/all", "job.started"),
        ("/hook/all", "job.succeeded"),
        ("/hook/one", "job.succeeded"),
    ]


async def test_batch_when_it_named_an_address_tells_it_once(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    await Webhooks(database).default(account)
    batch = factories.batch_row(account, webhook_url=receiver.url)
    await database.write(lambda tx: batch_store.insert(tx, batch))
    rows = [factories.job_row(account, batch_id=batch["id"], batch_index=n) for n in range(3)]
    await factories.queue_many(database, rows)
    for job in await factories.claim(database):
        claim = claim_of(job)
        await database.write(lambda tx, claim=claim: factories.succeed(tx, claim, cost_micros=0))
    await notifier.round()
    (message,) = receiver.got
    assert (message.event["type"], message.event["subject"]) == ("batch.finished", batch["id"])


async def test_job_when_its_address_is_gone_stops_no_other_address(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    default = await Webhooks(database).default(account)
    receiver.answers = ["410 Gone"]
    for _ in range(2):
        await finish(database, account, webhook_url=receiver.url)
        await notifier.round()
    assert {each.state for each in await log(database, default)} == {
        DeliveryState.DELIVERED,
        DeliveryState.FAILED,
    }
    assert (await Webhooks(database).get(account, default.id)).disabled_at is None


async def test_job_when_its_address_is_private_tells_nobody(
    database: Database, account: str, receiver: Receiver
) -> None:
    default = await Webhooks(database).default(account)
    await finish(database, account, webhook_url=receiver.url)
    async with Poster(FetchPolicy(ports=ANY_PORT)) as guarded:
        await Notifier(database, guarded, LINKS).round()
    assert receiver.got == []
    (delivery,) = await log(database, default)
    assert "private network" in delivery.error


async def test_default_when_made_at_once_is_one_and_can_be_rotated_but_not_removed(
    database: Database, account: str
) -> None:
    webhooks = Webhooks(database)
    made = await asyncio.gather(*(webhooks.default(account) for _ in range(5)))
    assert len({one.id for one in made}) == 1
    rotated = await webhooks.rotate(account, made[0].id)
    assert (await webhooks.default(account)).secret == rotated.secret != made[0].secret
    for refused in (
        webhooks.delete(account, made[0].id),
        webhooks.change(account, made[0].id, {"url": "http://example.com"}),
        webhooks.test(account, made[0].id),
    ):
        with pytest.raises(InvalidRequest):
            await refused
    stranger = await factories.new_account(database)
    assert (await webhooks.default(stranger)).id != made[0].id


_HANGING = 50
_LETTERS = [f"{one}{other}" for one in "abcdefgh" for other in "ijklmnop"][:_HANGING]


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("http://{}.example:{}/hook/bad", "http://good.example:{}/hook"),
        ("http://one.example:{1}/{0}/bad", "http://one.example:{}/good"),
    ],
    ids=["hosts", "paths"],
)
async def test_job_when_fifty_addresses_of_its_account_hang_is_told_of_in_time(
    database: Database, account: str, receiver: Receiver, bad: str, good: str
) -> None:
    await Webhooks(database).default(account)
    receiver.hangs_at = ("bad",)
    policy = FetchPolicy(allow_private=True, ports=ANY_PORT)

    def waits_s() -> list[float]:
        return sorted(
            (one.at - datetime.fromisoformat(one.event["created_at"])).total_seconds()
            for one in receiver.got
            if not one.path.endswith("bad")
        )

    async def all_told() -> bool:
        return len(waits_s()) == 4 * 5

    async with (
        Poster(policy, StubResolver()) as poster,
        at_work(Notifier(database, poster, LINKS)),
    ):
        for _ in range(4):
            for letters in _LETTERS:
                url = bad.format(letters, receiver.port)
                await finish(database, account, webhook_url=url)
            for _ in range(5):
                await finish(database, account, webhook_url=good.format(receiver.port))
        await wait_until_async(all_told, deadline_s=60)
    assert waits_s()[-2] < 5, waits_s()  # the 95th percentile
    assert sum(one.path.endswith("bad") for one in receiver.got) >= _HANGING

"""Webhooks on real sockets: each event once to each endpoint, even if the sender dies."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest

from safelight import events
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.fetch import FetchPolicy, Poster
from safelight.fetch.post import Posted
from safelight.jobs.ledger import batch_store
from safelight.webhooks import store
from safelight.webhooks.delivery import Delivery, DeliveryState
from safelight.webhooks.endpoint import sign
from safelight.webhooks.service import Webhooks
from safelight.webhooks.shares import Taken
from safelight.worker.senders.webhooks import Notifier, fan_out
from tests import factories
from tests.factories import claim_of
from tests.receivers import (
    ANY_PORT,
    BASE,
    LINKS,
    Receiver,
    at_work,
    endpoint,
    finish,
    log,
    make_due,
    notifying,
    receiving,
)
from tests.servers import wait_until_async
from tests.workshop import FlakyDatabase


class BrokenPoster(Poster):
    """Breaks as no `FetchError` says."""

    async def post(self, url: str, body: bytes, fields: dict[str, str]) -> Posted:
        raise OverflowError


async def test_round_when_a_job_succeeded_posts_it_signed_with_its_document(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url)
    job = await finish(database, account)
    await notifier.round()
    (message,) = receiver.got
    assert message.event["type"] == "job.succeeded"
    assert message.event["subject"] == job.id
    data = message.event["data"]
    assert isinstance(data, dict)
    assert data["job"]["status_url"] == f"{BASE}/v1/jobs/{job.id}"
    sent = message.headers
    assert sent["webhook-signature"] == sign(
        made.secret, sent["webhook-id"], int(sent["webhook-timestamp"]), message.body
    )
    (delivery,) = await log(database, made)
    assert (delivery.id, delivery.state, delivery.tries) == (
        sent["webhook-id"],
        DeliveryState.DELIVERED,
        1,
    )


async def test_fan_out_when_notifiers_race_makes_each_delivery_once(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    both = [await endpoint(database, account, receiver.url, "*") for _ in range(2)]
    for _ in range(5):
        await finish(database, account)
    await asyncio.gather(notifier.round(), notifier.round(), notifier.round())

    async def all_have_come() -> bool:
        await notifier.round()
        return len(receiver.got) >= 30

    await wait_until_async(all_have_come, 30)
    for one in both:
        kinds = [delivery.event["type"] for delivery in await log(database, one)]
        assert sorted(kinds) == sorted(["job.queued", "job.started", "job.succeeded"] * 5)
    ids = [message.headers["webhook-id"] for message in receiver.got]
    assert len(ids) == len(set(ids)) == 30


async def test_events_when_nobody_asked_are_told_from_the_start(
    database: Database, account: str, notifier: Notifier
) -> None:
    await finish(database, account)
    assert await database.write(lambda tx: events.untold(tx, limit=9)) == []


async def test_delivery_when_its_notifier_died_is_sent_again_under_the_same_id(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.hangs = True
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    async with at_work(notifier):
        await receiver.arrivals(1)
    receiver.hangs = False
    await notifier.round()
    assert len(receiver.got) == 1, "the lease has not run out"
    await make_due(database)
    await notifier.round()
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    (delivery,) = await log(database, made)
    assert (delivery.state, delivery.tries) == (DeliveryState.DELIVERED, 2)


@pytest.mark.parametrize("answer", ["500 Oops", "302 Found", "404 Not Found"])
async def test_delivery_when_refused_is_tried_again_later(
    database: Database, account: str, receiver: Receiver, notifier: Notifier, answer: str
) -> None:
    receiver.answers = [answer]
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    (delivery,) = await log(database, made)
    assert (delivery.state, delivery.status) == (DeliveryState.PENDING, int(answer[:3]))
    assert delivery.answer == "ok"
    await make_due(database)
    await notifier.round()
    assert [each.state for each in await log(database, made)] == [DeliveryState.DELIVERED]


async def test_delivery_when_told_to_wait_waits_as_long(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.answers = ["429 Slow\r\nRetry-After: 120"]
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    (delivery,) = await log(database, made)
    assert delivery.due_at - delivery.created_at > timedelta(seconds=110)


async def test_delivery_when_the_endpoint_is_gone_disables_it(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.answers = ["410 Gone"]
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    await finish(database, account)
    await notifier.round()
    assert [each.state for each in await log(database, made)] == [DeliveryState.FAILED]
    found = await Webhooks(database).get(account, made.id)
    assert found.disabled_at is not None


async def test_delivery_when_an_endpoint_hangs_delays_no_other(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    async with receiving() as hanging:
        hanging.hangs = True
        await endpoint(database, account, hanging.url)
        await endpoint(database, account, receiver.url)
        for _ in range(20):
            await finish(database, account)
        async with at_work(notifier):
            await receiver.arrivals(20)
            assert hanging.most <= 4, "no more than its share at once"


async def test_claim_when_an_endpoint_is_busy_takes_only_what_it_has_room_for(
    database: Database, account: str, receiver: Receiver
) -> None:
    one, other = [await endpoint(database, account, receiver.url) for _ in range(2)]
    for _ in range(6):
        await finish(database, account)
    await database.write(fan_out)
    busy = Taken(each=4, most=9, receivers={one.id: 3, "whe_full": 4}, endpoints={other.id: 7})
    taken = await database.write(
        lambda tx: store.claim_due(tx, slots=100, taken=busy, lease=factories.LEASE)
    )
    assert Counter(each.endpoint_id for each in taken) == {one.id: 1, other.id: 2}
    full = Taken(each=4, most=9, endpoints={one.id: 9, other.id: 9})
    assert not await database.write(
        lambda tx: store.claim_due(tx, slots=100, taken=full, lease=factories.LEASE)
    )


async def test_claim_when_notifiers_race_gives_each_delivery_to_one(
    database: Database, account: str, receiver: Receiver
) -> None:
    for _ in range(5):
        await endpoint(database, account, receiver.url)
    for _ in range(4):
        await finish(database, account)
    await database.write(fan_out)

    free = Taken(each=4, most=100)

    async def take() -> list[Delivery]:
        return await database.write(
            lambda tx: store.claim_due(tx, slots=5, taken=free, lease=factories.LEASE)
        )

    # Who finds all rows locked takes none, as it would on its next look.
    taken = [
        each.id
        for _ in range(4)
        for got in await asyncio.gather(take(), take(), take())
        for each in got
    ]
    assert len(taken) == len(set(taken)) == 20


async def test_delivery_when_sending_breaks_unforeseen_has_a_last_try(
    database: Database, account: str, receiver: Receiver
) -> None:
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    async with BrokenPoster(FetchPolicy()) as poster:
        notifier = Notifier(database, poster, LINKS)
        for _ in range(11):
            await notifier.round()
            await make_due(database)
    (delivery,) = await log(database, made)
    assert (delivery.state, delivery.tries) == (DeliveryState.FAILED, 10)
    assert delivery.error == "Sending failed for an unknown reason."


async def test_round_when_a_batch_is_long_leaves_its_items_out(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    await endpoint(database, account, receiver.url, "batch.finished")
    batch = factories.batch_row(account)
    await database.write(lambda tx: batch_store.insert(tx, batch))
    await factories.queue_many(
        database,
        [
            factories.job_row(account, batch_id=batch["id"], batch_index=index)
            for index in range(25)
        ],
    )
    for job in await factories.claim(database):
        await database.write(
            lambda tx, job=job: factories.succeed(tx, claim_of(job), cost_micros=0)
        )
    await notifier.round()
    (message,) = receiver.got
    assert len(message.body) < 20_000
    data = message.event["data"]
    assert isinstance(data, dict)
    assert "items" not in data["batch"]
    assert (data["batch"]["status"], data["batch"]["counts"]["succeeded"]) == ("succeeded", 25)
    assert data["batch"]["status_url"] == f"{BASE}/v1/batches/{batch['id']}"


async def test_run_when_the_database_was_away_goes_on(
    database: Database, account: str, receiver: Receiver
) -> None:
    await endpoint(database, account, receiver.url)
    await finish(database, account)
    flaky = FlakyDatabase(database, Counter({"_take": 1, "_try": 1}))
    async with notifying(flaky) as notifier, at_work(notifier):
        await made_due_until_arrival(database, receiver)
    assert not flaky.away.total()


async def made_due_until_arrival(database: Database, receiver: Receiver) -> None:
    """Let the lease of what could not be sent run out."""
    async with asyncio.timeout(10):
        while not receiver.got:
            await make_due(database)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await receiver.arrived.wait()


async def test_delivery_when_the_address_is_private_is_never_made(
    database: Database, account: str, receiver: Receiver
) -> None:
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    async with Poster(FetchPolicy(ports=ANY_PORT)) as guarded:
        await Notifier(database, guarded, LINKS).round()
    assert receiver.got == []
    (delivery,) = await log(database, made)
    assert "private network" in delivery.error


async def test_endpoints_when_another_account_asks_are_not_there(
    database: Database, account: str, receiver: Receiver
) -> None:
    webhooks = Webhooks(database)
    made = await webhooks.create(account, url=receiver.url, wanted=["job.*"])
    stranger = await factories.new_account(database)
    assert await webhooks.all_of(stranger) == []
    for ask in (
        webhooks.get(stranger, made.id),
        webhooks.delete(stranger, made.id),
        webhooks.deliveries(stranger, made.id, before=None, limit=1),
        webhooks.redeliver(stranger, made.id, "dlv_1"),
    ):
        with pytest.raises(NotFound):
            await ask


async def test_redeliver_when_asked_sends_the_same_message_again(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    (delivery,) = await log(database, made)
    await Webhooks(database).redeliver(account, made.id, delivery.id)
    await notifier.round()
    assert [message.headers["webhook-id"] for message in receiver.got] == [delivery.id] * 2

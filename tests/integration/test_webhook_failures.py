"""Receivers that are away, hang, drip or say no: how long they are tried, and when given up."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import events
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.events import Event
from safelight.webhooks import store
from safelight.webhooks.delivery import DeliveryState
from safelight.webhooks.errors import EndpointDisabled
from safelight.webhooks.service import Webhooks
from safelight.worker.senders.webhooks import Notifier
from tests.receivers import Receiver, endpoint, finish, log, make_due, notifying

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WAITS = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, *(n * HOUR for n in (2, 5, 10, 14, 20, 24))]


async def pass_time(database: Database, account: str, days: float) -> None:
    """Make what was noted of an account's endpoints that much older."""
    since = now(-timedelta(days=days))
    own = tables.endpoints.c.account_id == account
    failing = tables.endpoints.c.failing_since.is_not(None)
    await database.write(
        lambda tx: tx.execute(
            sa.update(tables.endpoints).where(own, failing).values(failing_since=since)
        )
    )
    await make_due(database)


async def told_of(database: Database, subject: str) -> list[Event]:
    return await database.read(lambda tx: events.beyond(tx, {subject: 0}))


async def test_delivery_when_the_receiver_is_down_for_days_is_tried_ten_times_and_ends(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.usual = "503 Away"
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    for number, wait in enumerate(WAITS, 1):
        await notifier.round()
        (delivery,) = await log(database, made)
        assert (delivery.state, delivery.tries) == (DeliveryState.PENDING, number)
        rest = delivery.due_at - await database.read(_clock)
        assert wait - 5 * SECOND < rest < wait * 1.1, "the wait, and up to a tenth more"
        await make_due(database)
    await notifier.round()
    (delivery,) = await log(database, made)
    assert (delivery.state, delivery.tries, delivery.status) == (DeliveryState.FAILED, 10, 503)
    assert len({message.headers["webhook-id"] for message in receiver.got}) == 1
    await make_due(database)
    await notifier.round()
    assert len(receiver.got) == 10


def _clock(tx: Connection):
    return tx.execute(sa.select(now())).scalar_one()


async def test_delivery_when_the_receiver_comes_back_after_hours_arrives(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url)
    port, receiver.port = receiver.port, 1  # where nobody listens
    await Webhooks(database).change(account, made.id, {"url": receiver.url})
    for _ in range(3):
        await finish(database, account)
    for _ in range(5):
        await notifier.round()
        await make_due(database)
    assert {each.state for each in await log(database, made)} == {DeliveryState.PENDING}
    receiver.port = port
    await Webhooks(database).change(account, made.id, {"url": receiver.url})
    await notifier.round()
    assert {each.state for each in await log(database, made)} == {DeliveryState.DELIVERED}
    assert (await Webhooks(database).get(account, made.id)).failing_since is None


async def test_delivery_when_the_receiver_hangs_ends_by_its_deadline(
    database: Database, account: str, receiver: Receiver
) -> None:
    receiver.hangs = True
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    async with notifying(database, total_s=0.2) as notifier, asyncio.timeout(5):
        await notifier.round()
    (delivery,) = await log(database, made)
    assert delivery.state is DeliveryState.PENDING
    assert "No answer within 0.2 s" in delivery.error


async def test_delivery_when_the_answer_drips_counts_by_its_status(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.drips = True
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    async with asyncio.timeout(10):
        await notifier.round()
    (delivery,) = await log(database, made)
    assert (delivery.state, delivery.status) == (DeliveryState.DELIVERED, 200)


async def test_delivery_when_redirected_is_not_sent_there(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.answers = [f"307 Elsewhere\r\nLocation: {receiver.url}/else"]
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    (delivery,) = await log(database, made)
    assert (delivery.state, delivery.status) == (DeliveryState.PENDING, 307)
    assert [message.path for message in receiver.got] == ["/hook"]


async def test_delivery_when_told_to_wait_for_a_year_waits_a_day(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.answers = ["503 Busy\r\nRetry-After: 31536000"]
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    (delivery,) = await log(database, made)
    assert 23 * HOUR < delivery.due_at - delivery.created_at <= 24 * HOUR + MINUTE


async def test_endpoint_when_it_is_gone_ends_what_was_on_its_way_and_others_are_told(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.usual = "410 Gone"
    made = await endpoint(database, account, receiver.url)
    for _ in range(9):
        await finish(database, account)
    await notifier.round()
    assert {each.state for each in await log(database, made)} == {DeliveryState.FAILED}
    assert len(receiver.got) <= 4, "the others were not sent any more"
    found = await Webhooks(database).get(account, made.id)
    assert found.disabled_reason == "gone"
    (event,) = await told_of(database, made.id)
    assert (event.type, event.data) == ("delivery.disabled", {"reason": "gone"})


async def test_endpoint_when_it_only_failed_for_five_days_is_disabled(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.usual = "500 Oops"
    made = await endpoint(database, account, receiver.url)
    watching = await endpoint(database, account, receiver.url, "delivery.*")
    await finish(database, account)
    await notifier.round()
    await pass_time(database, account, 4.9)
    await notifier.round()
    assert (await Webhooks(database).get(account, made.id)).disabled_at is None
    await pass_time(database, account, 5.1)
    await notifier.round()
    found = await Webhooks(database).get(account, made.id)
    assert (found.disabled_at is not None, found.disabled_reason) == (True, "failing")
    assert [each.event["type"] for each in await log(database, watching)] == ["delivery.disabled"]


async def test_endpoint_when_one_try_succeeded_begins_to_count_anew(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    receiver.answers = ["500 Oops", "200 OK", "500 Oops", "500 Oops"]
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    await pass_time(database, account, 6)
    await notifier.round()
    await finish(database, account)
    await notifier.round()
    found = await Webhooks(database).get(account, made.id)
    assert found.disabled_at is None
    assert found.failing_since is not None


async def test_endpoint_when_enabled_again_is_told_and_can_be_sent_what_failed(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    webhooks = Webhooks(database)
    receiver.answers = ["410 Gone"]
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    await finish(database, account)
    await notifier.round()
    assert len(receiver.got) == 1
    (missed,) = await log(database, made)
    with pytest.raises(EndpointDisabled):
        await webhooks.redeliver(account, made.id, missed.id)
    await webhooks.change(account, made.id, {}, disabled=False)
    await finish(database, account)
    assert await webhooks.redeliver_since(account, made.id, missed.created_at) == (1, None)
    await notifier.round()
    assert {each.state for each in await log(database, made)} == {DeliveryState.DELIVERED}
    assert len(receiver.got) == 3


async def test_redeliver_when_a_try_is_under_way_is_not_settled_by_it(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    """A redelivery is sent whatever the outcome of the earlier try."""
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    receiver.hangs = True
    async with asyncio.TaskGroup() as group:
        group.create_task(notifier.round())
        await receiver.arrivals(1)
        receiver.hangs = False
        (delivery,) = await log(database, made)
        await database.write(lambda tx: store.send_again(tx, made.id, delivery.id))
    await notifier.round()
    (delivery,) = await log(database, made)
    assert (delivery.state, delivery.tries) == (DeliveryState.DELIVERED, 1)
    assert len(receiver.got) == 2

"""An account's webhook log, and signatures as the official library verifies them."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from openai import InvalidWebhookSignatureError, OpenAI
from replicate.webhook import InvalidSignatureError, WebhookSigningSecret
from replicate.webhook import Webhooks as ReplicateWebhooks
from standardwebhooks import Webhook, WebhookVerificationError

from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.webhooks import service, store
from safelight.webhooks.delivery import DeliveryState
from safelight.webhooks.service import Webhooks
from safelight.worker.senders.webhooks import Notifier, fan_out
from tests.receivers import Message, Receiver, endpoint, finish, log, make_due


def verifies(secret: str, message: Message) -> bool:
    try:
        return bool(Webhook(secret).verify(message.body, message.headers))
    except WebhookVerificationError:
        return False


async def test_message_when_sent_is_accepted_by_the_official_library(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url)
    await finish(database, account, prompt="ein Käfer 🪲")
    await notifier.round()
    (message,) = receiver.got
    assert verifies(made.secret, message)
    assert not verifies(made.secret, Message("", message.headers, message.body + b" "))
    event = message.event
    assert event["seq"] == 3
    assert event["data"]["job"]["prompt"] == "ein Käfer 🪲"


async def test_message_when_sent_is_accepted_by_the_verifiers_of_replicate_and_openai(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url)
    await Webhooks(database).rotate(account, made.id)  # two signatures, the older one second
    await finish(database, account, prompt="ein Käfer 🪲")
    await notifier.round()
    (message,) = receiver.got
    text, wrong = message.body.decode(), message.body.decode() + " "
    key = WebhookSigningSecret(key=made.secret)
    ReplicateWebhooks.validate(headers=message.headers, body=text, secret=key)
    with pytest.raises(InvalidSignatureError):
        ReplicateWebhooks.validate(headers=message.headers, body=wrong, secret=key)
    with OpenAI(api_key="none", webhook_secret=made.secret) as client:
        client.webhooks.verify_signature(text, message.headers)
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.verify_signature(wrong, message.headers)


async def test_rotate_when_asked_signs_with_both_secrets_for_a_day(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url)
    rotated = await Webhooks(database).rotate(account, made.id)
    await finish(database, account)
    await notifier.round()
    assert rotated.secret != made.secret
    assert [verifies(one.secret, receiver.got[0]) for one in (rotated, made)] == [True, True]
    await database.write(
        lambda tx: tx.execute(sa.update(tables.endpoints).values(old_secret_until=now()))
    )
    await finish(database, account)
    await notifier.round()
    assert [verifies(one.secret, receiver.got[1]) for one in (rotated, made)] == [True, False]


async def test_log_when_tries_failed_tells_what_went_over_the_wire(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    secret = "Set-Cookie: session=secret"  # noqa: S105  a field that is not to be kept
    receiver.answers = [f"500 Oops\r\nX-Reason: {'long ' * 100}\r\n{secret}"]
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    await make_due(database)
    await notifier.round()
    (delivery,) = await log(database, made)
    view = await Webhooks(database).delivery(account, made.id, delivery.id)
    first, second = view.tries
    assert [(each.number, each.status) for each in view.tries] == [(1, 500), (2, 200)]
    assert first.request["headers"] == {
        name: receiver.got[0].headers[name]
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    assert first.request["body"] == receiver.got[0].body[:500].decode()
    assert first.answer is not None
    assert first.answer["body"] == "ok"
    assert len(first.answer["headers"]["x-reason"]) == 200
    assert "set-cookie" not in first.answer["headers"]
    assert made.secret not in str(view)
    assert first.error == "The endpoint answered with status 500."
    assert (first.at < second.at, second.took_ms < 2000) == (True, True)


async def test_log_when_nothing_answered_tells_the_error(
    database: Database, account: str, notifier: Notifier
) -> None:
    made = await endpoint(database, account, "http://127.0.0.1:1/hook")
    await finish(database, account)
    await notifier.round()
    (delivery,) = await log(database, made)
    (only,) = (await Webhooks(database).delivery(account, made.id, delivery.id)).tries
    assert (only.status, only.answer) == (None, None)
    assert only.error == "The connection to the other server failed."


async def test_log_when_a_message_is_sent_again_for_ever_keeps_the_newest_tries(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url)
    await finish(database, account)
    await notifier.round()
    (delivery,) = await log(database, made)
    for _ in range(12):
        await Webhooks(database).redeliver(account, made.id, delivery.id)
        await notifier.round()
    numbers = [
        each.number for each in await database.read(lambda tx: store.tries_of(tx, delivery.id))
    ]
    assert numbers[-1] == 25, "each asking takes a number, and each try"
    assert numbers[0] > numbers[-1] - 20


async def test_test_when_asked_arrives_though_no_event_is_wanted(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url, "batch.created")
    sent = await Webhooks(database).test(account, made.id)
    await notifier.round()
    (message,) = receiver.got
    assert verifies(made.secret, message)
    assert (message.event["type"], message.event["subject"]) == ("webhook.test", made.id)
    assert message.headers["webhook-id"] == sent.id


async def test_redeliver_since_when_given_a_time_takes_what_came_since(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    made = await endpoint(database, account, receiver.url)
    for _ in range(3):
        await finish(database, account)
        await notifier.round()
        await asyncio.sleep(0.002)
    newest, middle, oldest = await log(database, made)
    failed = (newest.id, middle.id, oldest.id)
    await database.write(
        lambda tx: tx.execute(
            sa.update(tables.deliveries)
            .where(tables.deliveries.c.id.in_(failed))
            .values(state=DeliveryState.FAILED)
        )
    )
    webhooks = Webhooks(database)
    later = newest.created_at + timedelta(seconds=1)
    assert await webhooks.redeliver_since(account, made.id, later) == (0, None)
    assert await webhooks.redeliver_since(account, made.id, middle.created_at) == (2, None)
    await notifier.round()
    again = [message.headers["webhook-id"] for message in receiver.got[3:]]
    assert sorted(again) == sorted([newest.id, middle.id])


async def test_redeliver_since_when_all_is_wanted_goes_on_where_it_ended(
    database: Database,
    account: str,
    receiver: Receiver,
    notifier: Notifier,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A receiver that lost its records can have all deliveries again."""
    made = await endpoint(database, account, receiver.url)
    for _ in range(3):
        await finish(database, account)
        await notifier.round()
        await asyncio.sleep(0.002)
    newest, middle, oldest = await log(database, made)
    monkeypatch.setattr(service, "_MOST_SENT_AGAIN", 2)
    webhooks = Webhooks(database)
    assert await webhooks.redeliver_since(account, made.id, oldest.created_at) == (0, None)
    count, more = await webhooks.redeliver_since(
        account, made.id, oldest.created_at, delivered_too=True
    )
    assert (count, more) == (2, newest.created_at)
    await notifier.round()
    assert more is not None
    assert await webhooks.redeliver_since(account, made.id, more, delivered_too=True) == (1, None)
    await notifier.round()
    again = [message.headers["webhook-id"] for message in receiver.got[3:]]
    assert again[2] == newest.id
    assert sorted(again[:2]) == sorted([oldest.id, middle.id])


@pytest.mark.parametrize("long", ["prompt", "error"])
async def test_message_when_it_would_be_too_long_is_thin(
    database: Database, account: str, receiver: Receiver, notifier: Notifier, long: str
) -> None:
    made = await endpoint(database, account, receiver.url)
    job = await finish(database, account, prompt="x" * 30_000 if long == "prompt" else "")
    if long == "error":
        await database.write(fan_out)
        event = (await log(database, made))[0].event
        event["data"]["error"] = {"detail": "y" * 30_000}
        await database.write(
            lambda tx: tx.execute(sa.update(tables.deliveries).values(event=event))
        )
    await notifier.round()
    (message,) = receiver.got
    assert len(message.body) <= 20_000
    assert message.event["subject"] == job.id
    assert "prompt" not in message.event["data"].get("job", {})


async def test_message_when_the_endpoint_wants_it_thin_has_no_document(
    database: Database, account: str, receiver: Receiver, notifier: Notifier
) -> None:
    await Webhooks(database).create(account, url=receiver.url, wanted=["job.*"], thin=True)
    job = await finish(database, account)
    await notifier.round()
    messages = [message.event for message in receiver.got]
    assert sorted(event["seq"] for event in messages) == [1, 2, 3]
    assert {event["subject"] for event in messages} == {job.id}
    assert not any("job" in event["data"] for event in messages)

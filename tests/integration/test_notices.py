"""People are told by mail of what they said yes to, once; and nothing is lost on the way."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.errors import InvalidRequest, NotFound, WrongState
from safelight.jobs.job import Job
from safelight.jobs.ledger import batch_store, moves
from safelight.notifications import store
from safelight.notifications.contact import MOST_CODES, MOST_CONTACTS, MOST_SINGLE, Channel, Contact
from safelight.notifications.content import Templates
from safelight.notifications.mail import Mailer
from safelight.notifications.notice import Content, Notice, NotSentError
from safelight.notifications.service import Contacts
from safelight.notifications.smtp import SmtpServer
from safelight.webhooks import endpoint_store
from safelight.webhooks.endpoint import DisabledReason
from safelight.worker.senders.notices import Messenger
from safelight.worker.senders.webhooks import fan_out
from tests import factories
from tests.mailbox import Mailbox, body_of, link_in, mailbox
from tests.receivers import BASE, LINKS, endpoint, finish
from tests.servers import wait_until_async

ANN = "ann@example.com"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:news"
DAY = timedelta(days=1)
A_MINUTE_S = 60.0
ODD = "a <i>red</i> cat\r\nX: y"


class Phone:
    """Keeps what it is sent by SMS, or as a topic."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Content]] = []

    async def send(self, notice: Notice, contact: Contact, content: Content) -> None:
        del notice
        self.got.append((contact.address, content))


class Desk:
    """One installation that tells people."""

    def __init__(self, database: Database, box: Mailbox, account: str) -> None:
        self.database = database
        self.box = box
        self.account = account
        self.phone = Phone()
        carrier = SmtpServer("127.0.0.1", box.port)
        senders = {
            Channel.EMAIL: Mailer(carrier, "Safelight <news@safelight.test>", BASE),
            Channel.SMS: self.phone,
            Channel.SNS: self.phone,
        }
        self.contacts = Contacts(database, senders.keys(), [TOPIC])
        self.messenger = Messenger(
            database, senders, Templates(None), LINKS, digest_hour=datetime.now(UTC).hour
        )

    async def add(
        self, address: str = ANN, channel: Channel = Channel.EMAIL, **said: Any
    ) -> Contact:
        """Add a contact that has not said yes."""
        defaults: dict[str, Any] = {"wanted": None, "digest": False}
        return await self.contacts.create(self.account, channel, address, **defaults | said)

    async def ann(self, address: str = ANN, **said: Any) -> Contact:
        """Add one that has, and forget that it was asked."""
        made = await self.add(address, **said)
        await self.tell()
        self.box.got.clear()
        return await self.contacts.confirm(self.account, made.id, made.code)

    async def tell(self) -> list[EmailMessage]:
        """Tell all that is due, and return what has come so far."""
        while await self.database.write(fan_out):
            pass
        while await self.messenger.round():
            pass
        return self.box.got

    async def later(self) -> list[EmailMessage]:
        """Let all be due, and tell it."""
        due = sa.update(tables.notices).values(due_at=now(-DAY))
        await self.database.write(lambda tx: tx.execute(due))
        return await self.tell()

    async def log(self, contact: Contact) -> list[Notice]:
        return await self.contacts.notices(self.account, contact.id, before=None, limit=50)

    async def job(self, **changes: Any) -> Job:
        return await finish(self.database, self.account, **changes)

    async def failed(self, **changes: Any) -> Job:
        job = await factories.run_one(self.database, self.account, **changes)
        problem = {"code": "moderation_refused", "title": "Refused", "detail": "Too <b>rude</b>."}
        claim = factories.claim_of(job)
        return await self.database.write(lambda tx: moves.fail(tx, claim, error=problem))

    async def shown(self, folder: str) -> Job:
        """Have a job done that made a picture, whose objects lie there."""
        job = await factories.run_one(self.database, self.account, prompt=ODD)
        await factories.keep(self.database, self.account, job_id=job.id, name="cat.png")
        thumb = {"key": f"{folder}/thumb.webp", "media_type": "image/webp"}
        sizes = {"width": 256, "height": 192, "bytes": 9}
        values = {"key": f"{folder}/cat.png", "renditions": {"thumb": thumb | sizes}}
        claim = factories.claim_of(job)
        await self.database.write(
            lambda tx: (
                tx.execute(sa.update(tables.assets).values(**values)),
                factories.succeed(tx, claim, cost_micros=0),
            )
        )
        return job


@pytest.fixture
async def desk(database: Database, account: str) -> AsyncIterator[Desk]:
    async with mailbox() as box:
        yield Desk(database, box, account)


# --- saying yes and no -----------------------------------------------------------------------


async def test_contact_when_it_has_not_said_yes_is_told_nothing_but_the_question(
    desk: Desk,
) -> None:
    contact = await desk.add()
    await desk.job()
    (question,) = await desk.tell()
    assert question["To"] == ANN
    assert "List-Unsubscribe" not in question
    link = link_in(question, "confirm")
    assert link == f"{BASE}/contacts/{contact.id}/confirm?code={contact.code}"
    await desk.contacts.confirm_by_link(contact.id, contact.code)
    await desk.job(prompt="a boat")
    _, told = await desk.tell()
    assert told["Subject"] == "Done: a boat"
    with pytest.raises(NotFound):
        await desk.contacts.confirm_by_link(contact.id, contact.code)


async def test_contact_when_it_stops_is_told_nothing_until_it_says_yes_again(desk: Desk) -> None:
    contact = await desk.ann()
    await desk.job()
    (told,) = await desk.tell()
    link = link_in(told, "stop")
    assert told["List-Unsubscribe"] == f"<{link}>"
    assert told["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    with pytest.raises(NotFound):
        await desk.contacts.stop_by_link(contact.id, "x")
    await desk.contacts.stop_by_link(contact.id, link.rpartition("=")[2])
    await desk.job()
    assert await desk.tell() == [told]
    assert (await desk.contacts.get(desk.account, contact.id)).stopped_reason == "unsubscribed"
    asked = await desk.contacts.send_code(desk.account, contact.id)
    await desk.contacts.confirm(desk.account, contact.id, asked.code)
    await desk.job(prompt="again")
    assert (await desk.tell())[-1]["Subject"] == "Done: again"


async def test_phone_when_its_code_is_guessed_takes_few_guesses(desk: Desk) -> None:
    phone = await desk.add("+49 151 2345 6789", Channel.SMS)
    assert phone.address == "+4915123456789"
    assert len(phone.code) == 6
    await desk.tell()
    ((_, sms),) = desk.phone.got
    assert sms.short.startswith(phone.code)
    wrong = f"{(int(phone.code) + 1) % 10**6:06}"
    for code in [wrong] * 5 + [phone.code]:
        with pytest.raises(InvalidRequest):
            await desk.contacts.confirm(desk.account, phone.id, code)
    with pytest.raises(NotFound):
        await desk.contacts.confirm_by_link(phone.id, phone.code)
    again = await desk.contacts.send_code(desk.account, phone.id)
    confirmed = await desk.contacts.confirm(desk.account, phone.id, again.code)
    assert confirmed.confirmed_at is not None


async def test_codes_when_many_are_asked_for_end(desk: Desk) -> None:
    contact = await desk.add()
    for _ in range(MOST_CODES - 1):
        await desk.contacts.send_code(desk.account, contact.id)
    with pytest.raises(WrongState):
        await desk.contacts.send_code(desk.account, contact.id)


async def test_code_when_it_is_old_is_worth_nothing(desk: Desk) -> None:
    contact = await desk.add()
    old = sa.update(tables.contacts).values(code_until=now(-DAY))
    await desk.database.write(lambda tx: tx.execute(old))
    with pytest.raises(InvalidRequest):
        await desk.contacts.confirm(desk.account, contact.id, contact.code)


async def test_contacts_when_the_same_or_too_many_come_are_bounded(desk: Desk) -> None:
    first = await desk.add()
    assert await desk.add() == first
    for number in range(MOST_CONTACTS - 1):
        await desk.add(f"{number}@example.com")
    with pytest.raises(WrongState):
        await desk.add("more@example.com")


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        (Channel.EMAIL, "nobody"),
        (Channel.EMAIL, "a@example.com\r\nBcc: b@example.com"),
        (Channel.EMAIL, "a@example.com, b@example.com"),
        (Channel.SMS, "0151 23456789"),
        (Channel.SNS, "arn:aws:sns:eu-central-1:123456789012:others"),
        (Channel.SNS, "https://example.com"),
    ],
)
async def test_contact_when_its_address_is_none_is_refused(
    desk: Desk, channel: Channel, address: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await desk.add(address, channel)
    assert refused.value.errors[0]["field"] == "address"


async def test_contact_when_it_is_anothers_is_as_absent_as_none(desk: Desk) -> None:
    contact = await desk.ann()
    with pytest.raises(NotFound):
        await desk.contacts.get("acc_other", contact.id)
    with pytest.raises(InvalidRequest):
        await desk.contacts.check_named("acc_other", [contact.id])


# --- what they are told ----------------------------------------------------------------------


def check_links(mail: EmailMessage, place: str) -> None:
    """A mail links to the page, which people can use, and never to the API."""
    for body in (body_of(mail), body_of(mail, "html")):
        assert f"{BASE}/#{place}" in body
        assert "/v1/" not in body
        assert "POST" not in body


async def test_job_when_done_is_told_with_its_picture_as_text_and_html(desk: Desk) -> None:
    await desk.ann()
    await desk.shown("images/job_1")
    (mail,) = await desk.tell()
    assert mail["Subject"] == "Done: a <i>red</i> cat X: y"
    assert mail["From"] == "Safelight <news@safelight.test>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert f"{BASE}/files/images/job_1/cat.png" in body_of(mail)
    html = body_of(mail, "html")
    assert f'src="{BASE}/files/images/job_1/thumb.webp"' in html
    assert f'href="{BASE}/files/images/job_1/cat.png"' in html
    assert "a &lt;i&gt;red&lt;/i&gt; cat" in html
    assert "<i>" not in html


async def test_job_when_its_picture_is_private_shows_no_address(desk: Desk) -> None:
    await desk.ann()
    await desk.shown("private/images/job_1")
    (mail,) = await desk.tell()
    assert "cat.png" in body_of(mail)
    assert "private/" not in body_of(mail) + body_of(mail, "html")
    (job_id,) = set(re.findall(rf"{BASE}/#(job_\w+)", body_of(mail)))
    assert f'href="{BASE}/#{job_id}"' in body_of(mail, "html")


async def test_job_when_failed_is_told_with_the_reason(desk: Desk) -> None:
    await desk.ann()
    await desk.failed(prompt="a cat")
    (mail,) = await desk.tell()
    assert mail["Subject"] == "Failed: a cat"
    assert "Refused. Too <b>rude</b>." in body_of(mail)
    assert "Too &lt;b&gt;rude&lt;/b&gt;." in body_of(mail, "html")
    check_links(mail, "job_")


async def test_batch_when_it_ends_is_one_mail_for_all(desk: Desk) -> None:
    await desk.ann()
    row = factories.batch_row(desk.account, name="Chairs")
    batch = await desk.database.write(lambda tx: batch_store.insert(tx, row))
    for index in range(3):
        await desk.job(batch_id=batch.id, batch_index=index, name=f"chair {index}")
    await desk.failed(batch_id=batch.id, batch_index=3, name="chair 3")
    (mail,) = await desk.tell()
    assert mail["Subject"] == "Done in part: Chairs"
    text = body_of(mail)
    assert "3 of 4 succeeded, 1 failed." in text
    assert "chair 3: Refused. Too <b>rude</b>." in text
    check_links(mail, "bat_")


async def test_notify_when_a_job_says_who_tells_those_and_no_other(desk: Desk) -> None:
    ann, bob = await desk.ann(), await desk.ann("bob@example.com", wanted=[])
    await desk.job(notify=[])
    assert await desk.tell() == []
    await desk.job(notify=[bob.id], prompt="for bob")
    (mail,) = await desk.tell()
    assert (mail["To"], mail["Subject"]) == (bob.address, "Done: for bob")
    desk.box.got.clear()
    await desk.job(notify=["email"])
    assert {mail["To"] for mail in await desk.tell()} == {ann.address, bob.address}
    desk.box.got.clear()
    await desk.job()
    assert [mail["To"] for mail in await desk.tell()] == [ann.address]


async def test_endpoint_when_disabled_is_told_to_its_owner(desk: Desk) -> None:
    await desk.ann()
    made = await endpoint(desk.database, desk.account, "https://example.com/hook")
    gone = DisabledReason.FAILING
    await desk.database.write(lambda tx: endpoint_store.disable(tx, made.id, gone))
    (mail,) = await desk.tell()
    assert "https://example.com/hook" in mail["Subject"]
    assert "for days it has only failed" in body_of(mail)
    check_links(mail, "notifications")


async def an_hour_has_begun() -> bool:
    """Say whether the hour does not end within this test."""
    return datetime.now(UTC).minute < 59 or datetime.now(UTC).second < 40


async def test_flood_when_more_ends_than_anybody_reads_comes_as_one_at_the_full_hour(
    desk: Desk,
) -> None:
    await wait_until_async(an_hour_has_begun, A_MINUTE_S)
    ann = await desk.ann()
    single = MOST_SINGLE - 1  # the first message was the question
    for number in range(single):
        await desk.job(prompt=f"picture {number}")
    subjects = {mail["Subject"] for mail in await desk.tell()}
    assert subjects == {f"Done: picture {number}" for number in range(single)}
    desk.box.got.clear()
    a_minute_ago = sa.update(tables.jobs).values(finished_at=now(timedelta(minutes=-1)))
    await desk.database.write(lambda tx: tx.execute(a_minute_ago))
    await desk.failed(prompt="a dog")
    assert await desk.tell() == []
    await desk.job(prompt="one more")
    assert await desk.tell() == []
    (mail,) = await desk.later()
    assert mail["Subject"] == "Your last hour: 1 done, 1 failed"
    assert "a dog: Refused" in body_of(mail)
    kinds = [notice.event["type"] for notice in await desk.log(ann)]
    assert kinds.count("contact.gathered") == 1


async def test_flood_when_it_is_over_is_followed_by_single_messages_again(desk: Desk) -> None:
    await desk.ann()
    for _ in range(MOST_SINGLE + 1):
        await desk.job()
    await desk.tell()
    await desk.later()
    desk.box.got.clear()
    an_hour_ago = sa.update(tables.notices).values(created_at=now(timedelta(hours=-1)))
    await desk.database.write(lambda tx: tx.execute(an_hour_ago))
    await desk.job(prompt="a cat")
    assert [mail["Subject"] for mail in await desk.tell()] == ["Done: a cat"]


async def test_flood_when_it_is_of_a_topic_is_told_event_by_event(desk: Desk) -> None:
    await desk.add(TOPIC, Channel.SNS)
    for _ in range(MOST_SINGLE + 5):
        await desk.job()
    await desk.tell()
    assert len(desk.phone.got) == MOST_SINGLE + 5


async def test_digest_when_the_day_is_over_tells_all_of_it_once(desk: Desk) -> None:
    contact = await desk.ann(digest=True)
    await desk.job(prompt="a cat")
    await desk.failed(prompt="a dog")
    assert await desk.tell() == [], "not one by one"
    yesterday = (datetime.now(UTC) - DAY).date().isoformat()
    await desk.database.write(
        lambda tx: (
            tx.execute(sa.update(tables.jobs).values(finished_at=now(timedelta(hours=-2)))),
            store.change(tx, contact.id, {"digested_on": yesterday}),
        )
    )
    (mail,) = await desk.tell()
    assert mail["Subject"] == "Your day: 1 done, 1 failed"
    assert "a dog: Refused." in body_of(mail)
    assert await desk.later() == [mail]
    await desk.database.write(lambda tx: store.change(tx, contact.id, {"digested_on": yesterday}))
    assert await desk.tell() == [mail], "one digest a day"


async def test_digest_when_nothing_happened_is_none(desk: Desk) -> None:
    contact = await desk.ann(digest=True)
    await desk.database.write(lambda tx: store.change(tx, contact.id, {"digested_on": ""}))
    assert await desk.tell() == []


async def test_topic_when_allowed_gets_the_event_as_webhooks_do(desk: Desk) -> None:
    await desk.add(TOPIC, Channel.SNS, wanted=["job.*"])
    job = await desk.job(prompt="a cat")
    await desk.tell()
    said = [json.loads(content.data) for address, content in desk.phone.got if address == TOPIC]
    assert {event["type"] for event in said} == {"job.queued", "job.started", "job.succeeded"}
    assert {event["subject"] for event in said} == {job.id}
    assert {event["data"]["job"]["prompt"] for event in said} == {"a cat"}


async def test_sms_when_a_job_names_it_is_one_short_line(desk: Desk) -> None:
    phone = await desk.add("+4915123456789", Channel.SMS)
    await desk.contacts.confirm(desk.account, phone.id, phone.code)
    await desk.job()
    await desk.failed(notify=["sms"], prompt="a very " + "long " * 60 + "story")
    await desk.tell()
    (short,) = [content.short for _, content in desk.phone.got]
    assert short.startswith("Failed: a very long")
    assert len(short) <= 160


# --- what goes wrong on the way --------------------------------------------------------------


async def test_mail_when_it_is_put_off_comes_later(desk: Desk) -> None:
    contact = await desk.ann()
    desk.box.ends += ["451 later", "452 later"]
    await desk.job()
    assert await desk.tell() == []
    (notice,) = (await desk.log(contact))[:1]
    assert (notice.state.value, notice.tries) == ("pending", 1)
    assert "451 later" in notice.error
    assert await desk.later() == []
    assert len(await desk.later()) == 1
    assert (await desk.log(contact))[0].state.value == "delivered"


@pytest.mark.parametrize(
    ("answer", "reason"), [("550 no such user", "550 no such user"), ("552 full", "")]
)
async def test_address_when_it_bounces_is_written_to_no_more(
    desk: Desk, answer: str, reason: str
) -> None:
    contact = await desk.ann()
    desk.box.answers.append(answer)
    await desk.job()
    await desk.tell()
    found = await desk.contacts.get(desk.account, contact.id)
    assert reason in found.stopped_reason
    assert bool(found.stopped_at) == bool(reason)
    assert (await desk.log(contact))[0].state.value == "failed"


@pytest.mark.parametrize(
    ("answer", "state"), [(f"451 {ANN} later", "pending"), (f"550 <{ANN}> is unknown", "failed")]
)
async def test_mail_when_it_was_not_sent_then_the_log_says_why_without_the_address(
    desk: Desk, answer: str, state: str
) -> None:
    contact = await desk.ann()
    desk.box.answers.append(answer)
    await desk.job()
    with capture_logs() as logs:
        await desk.tell()
    (line,) = [line for line in logs if line["event"] == "notice not sent"]
    (notice,) = (await desk.log(contact))[:1]
    assert (line["notice"], line["channel"], line["tries"]) == (notice.id, "email", 1)
    assert (line["state"], line["log_level"]) == (state, "warning")
    assert line["error"] == f"The mail server answered {answer.replace(ANN, '…')}"


async def test_mail_server_when_it_is_away_loses_nothing(database: Database, account: str) -> None:
    async with mailbox() as box:
        desk = Desk(database, box, account)
        contact = await desk.ann()
    await desk.job()
    await desk.tell()
    assert (await desk.log(contact))[0].state.value == "pending"
    async with mailbox() as box:
        again = Desk(database, box, account)
        assert len(await again.later()) == 1


async def test_mail_when_its_sender_dies_before_it_is_written_down_comes_once_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = await desk.ann()
    await desk.job()

    def dies(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(store, "record", dies)
        await desk.tell()
    assert (await desk.log(contact))[0].state.value == "pending"
    first, second = await desk.later()
    assert first["Message-ID"] == second["Message-ID"]
    assert len(await desk.later()) == 2
    assert (await desk.log(contact))[0].tries == 2


async def test_mail_when_its_sender_dies_before_it_is_sent_comes_later(desk: Desk) -> None:
    await desk.ann()
    await desk.job()
    await desk.database.write(fan_out)
    claimed = await desk.database.write(
        lambda tx: store.claim_due(tx, slots=9, lease=timedelta(minutes=1))
    )
    assert len(claimed) == 1
    assert await desk.tell() == [], "somebody has it"
    assert len(await desk.later()) == 1


async def test_notice_when_another_took_it_up_meanwhile_is_settled_by_that_one(
    desk: Desk,
) -> None:
    contact = await desk.ann()
    await desk.job()
    await desk.database.write(fan_out)

    class Slow:
        async def send(self, notice: Notice, contact: Contact, content: Content) -> None:
            del notice, contact, content
            await desk.later()
            raise NotSentError("too late", gone=True)

        async def check(self) -> None:
            return

    slow = Messenger(desk.database, {Channel.EMAIL: Slow()}, Templates(None), LINKS, digest_hour=0)
    await slow.round()
    assert (await desk.log(contact))[0].state.value == "delivered"
    assert (await desk.contacts.get(desk.account, contact.id)).stopped_at is None


async def test_notice_when_what_it_tells_of_has_gone_fails(desk: Desk) -> None:
    contact = await desk.ann()
    job = await desk.job()
    await desk.database.write(fan_out)
    gone = sa.delete(tables.jobs).where(tables.jobs.c.id == job.id)
    await desk.database.write(lambda tx: tx.execute(gone))
    assert await desk.tell() == []
    assert "deleted" in (await desk.log(contact))[0].error


async def test_notices_when_messengers_race_are_sent_once_each(desk: Desk) -> None:
    await desk.ann()
    for _ in range(12):
        await desk.job()
    await desk.database.write(fan_out)
    other = Desk(desk.database, desk.box, desk.account)
    await asyncio.gather(desk.tell(), other.tell())
    assert len(desk.box.got) == 12
    assert len({mail["Message-ID"] for mail in desk.box.got}) == 12

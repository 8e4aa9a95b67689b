"""Mails over SMTP with TLS and auth and through SES, SMS and topics through SNS: real protocols."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from safelight.errors import ServiceError, SettingInvalid
from safelight.notifications.aws import Ses, Sns
from safelight.notifications.contact import Channel, Contact
from safelight.notifications.notice import Content, Notice, NotSentError
from safelight.notifications.senders import check, open_senders
from safelight.notifications.smtp import SmtpServer
from safelight.webhooks.delivery import DeliveryState
from tests import brokers, buckets
from tests.brokers import Broker
from tests.mailbox import PASSWORD, USER, mailbox
from tests.servers import free_port

FROM, TO = "news@safelight.test", "ann@example.com"
REGION = "eu-central-1"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def mail(text: str = "Grüße") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = FROM, TO, "Grüße"
    made["Message-ID"] = "<ntc_1@safelight.test>"
    made.set_content(text)
    return made


@pytest.fixture
def free() -> int:
    """A port that nobody listens at."""
    return free_port()


# --- SMTP ------------------------------------------------------------------------------------


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS that this process trusts, by the variable that operators use for theirs."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.mark.parametrize("implicit", [False, True])
async def test_smtp_when_the_server_has_tls_and_auth_uses_both(
    tls: ssl.SSLContext, implicit: bool
) -> None:
    async with mailbox(tls, implicit=implicit, auth=True) as box:
        server = SmtpServer("localhost", box.port, USER, PASSWORD, implicit_tls=implicit)
        await server(mail(), FROM, TO)
        (got,) = box.got
    assert got["Subject"] == "Grüße"
    assert got.get_content().strip() == "Grüße"
    assert box.secure == [True]


async def test_smtp_when_the_password_is_wrong_sends_nothing_and_may_later(
    tls: ssl.SSLContext,
) -> None:
    async with mailbox(tls, auth=True) as box:
        with pytest.raises(NotSentError, match="535") as refused:
            await SmtpServer("localhost", box.port, USER, "wrong")(mail(), FROM, TO)
    assert not refused.value.hopeless
    assert box.got == []


async def test_smtp_when_there_is_a_password_but_no_tls_does_not_say_it() -> None:
    async with mailbox() as box:
        with pytest.raises(NotSentError, match="STARTTLS"):
            await SmtpServer("127.0.0.1", box.port, USER, PASSWORD)(mail(), FROM, TO)
    assert box.got == []


async def test_smtp_when_the_certificate_is_anothers_sends_nothing(tls: ssl.SSLContext) -> None:
    async with mailbox(tls) as box:
        with pytest.raises(NotSentError):
            await SmtpServer("127.0.0.1", box.port)(mail(), FROM, TO)
    assert box.got == []


@pytest.mark.parametrize(
    ("answer", "hopeless", "gone"),
    [("550 unknown", True, True), ("552 full", True, False), ("450 busy", False, False)],
)
async def test_smtp_when_the_recipient_is_refused_says_for_how_long(
    answer: str, hopeless: bool, gone: bool
) -> None:
    async with mailbox() as box:
        box.answers.append(answer)
        with pytest.raises(NotSentError, match=answer[:3]) as refused:
            await SmtpServer("127.0.0.1", box.port)(mail(), FROM, TO)
    assert (refused.value.hopeless, refused.value.gone) == (hopeless, gone)


async def test_smtp_when_nobody_answers_may_later(free: int) -> None:
    with pytest.raises(NotSentError, match="could not be reached") as refused:
        await SmtpServer("127.0.0.1", free)(mail(), FROM, TO)
    assert not refused.value.hopeless


async def test_smtp_check_when_it_can_log_in_sends_nothing(tls: ssl.SSLContext) -> None:
    async with mailbox(tls, auth=True) as box:
        await SmtpServer("localhost", box.port, USER, PASSWORD).check()
        with pytest.raises(NotSentError, match="535"):
            await SmtpServer("localhost", box.port, USER, "wrong").check()
    assert box.got == []


async def test_smtp_check_when_nobody_answers_says_so(free: int) -> None:
    (sender,) = open_senders(
        mail_url=f"smtp://127.0.0.1:{free}",
        mail_from=FROM,
        sms_region="",
        topics=(),
        base_url="http://safelight.test",
    ).values()
    with pytest.raises(ServiceError, match="The mail server could not be reached"):
        await check(sender)


# --- Amazon ----------------------------------------------------------------------------------


async def test_amazon_check_when_the_credentials_are_good_sends_nothing(moto: Broker) -> None:
    await Ses(REGION).check()
    await Sns(REGION).check()


async def test_amazon_check_when_nobody_answers_says_so(
    free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in buckets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free}")
    with pytest.raises(NotSentError, match="Amazon could not be reached"):
        await Sns(REGION).check()


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(brokers.sqs(tmp_path_factory.mktemp("moto"))) as server:
        yield server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "moto" not in request.fixturenames:
        return
    moto: Broker = request.getfixturevalue("moto")
    for name, value in buckets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{moto.port}")


def contact(channel: Channel, address: str) -> Contact:
    return Contact(
        id="con_1",
        account_id="acc_1",
        channel=channel,
        address=address,
        events=[],
        digest=False,
        code="",
        code_until=None,
        codes=0,
        guesses=0,
        token="t",  # noqa: S106  of nothing
        digested_on="",
        created_at=NOW,
        confirmed_at=NOW,
        stopped_at=None,
        stopped_reason="",
    )


NOTICE = Notice(
    id="ntc_1",
    contact_id="con_1",
    event_id="evt_1",
    event={"id": "evt_1", "type": "job.succeeded", "subject": "job_1"},
    state=DeliveryState.PENDING,
    tries=1,
    claim_no=1,
    due_at=NOW,
    error="",
    created_at=NOW,
    finished_at=None,
)
CONTENT = Content("Done", "Done: a cat", "<p>Done</p>", "Done: a cat", '{"type":"job.succeeded"}')


async def seen(moto: Broker, service: str, kind: str) -> list[dict[str, Any]]:
    """Return what moto was given of a kind."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{moto.port}/moto-api/data.json")
    return answer.json().get(service, {}).get(kind, [])


async def test_ses_when_the_sender_is_verified_carries_the_mail_as_it_is(moto: Broker) -> None:
    client = buckets.client(moto, "sesv2")
    await asyncio.to_thread(client.create_email_identity, EmailIdentity=FROM)
    await Ses(buckets.REGION)(mail(), FROM, TO)
    sent = await seen(moto, "ses", "RawMessage")
    assert any("ntc_1@safelight.test" in str(each) for each in sent), sent


async def test_ses_when_the_sender_is_not_verified_is_hopeless(moto: Broker) -> None:
    with pytest.raises(NotSentError, match="MessageRejected") as refused:
        await Ses("eu-west-3")(mail(), "other@nobody.test", TO)
    assert (refused.value.hopeless, refused.value.gone) == (True, False)
    assert moto.port


async def test_sns_when_it_is_a_phone_sends_the_short_form(moto: Broker) -> None:
    await Sns("us-east-1").send(NOTICE, contact(Channel.SMS, "+4915123456789"), CONTENT)
    (sms,) = await seen(moto, "sns", "SMS")
    assert (sms["phone_number"], sms["message"]) == ("+4915123456789", "Done: a cat")


@pytest.mark.parametrize("fifo", [False, True])
async def test_sns_when_it_is_a_topic_publishes_the_event_with_its_type(
    moto: Broker, fifo: bool
) -> None:
    end = ".fifo" if fifo else ""

    def subscribe() -> tuple[str, Any, str]:
        sns, sqs = (buckets.client(moto, name) for name in ("sns", "sqs"))
        said = {"FifoTopic": "true"} if fifo else {}
        topic = sns.create_topic(Name=f"news{end}", Attributes=said)["TopicArn"]
        said = {"FifoQueue": "true"} if fifo else {}
        queue = sqs.create_queue(QueueName=f"hear{end}", Attributes=said)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
        return topic, sqs, queue

    topic, sqs, queue = await asyncio.to_thread(subscribe)
    await Sns("").send(NOTICE, contact(Channel.SNS, topic), CONTENT)
    got = await asyncio.to_thread(sqs.receive_message, QueueUrl=queue, WaitTimeSeconds=5)
    envelope = json.loads(got["Messages"][0]["Body"])
    assert json.loads(envelope["Message"]) == {"type": "job.succeeded"}
    assert envelope["MessageAttributes"]["type"]["Value"] == "job.succeeded"


async def test_sns_when_the_topic_has_gone_says_so(moto: Broker) -> None:
    gone = "arn:aws:sns:us-east-1:123456789012:none"
    with pytest.raises(NotSentError, match="NotFound") as refused:
        await Sns("").send(NOTICE, contact(Channel.SNS, gone), CONTENT)
    assert refused.value.gone
    assert moto.port


async def test_sns_when_amazon_is_away_may_later(
    monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    for name, value in buckets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free}")
    with pytest.raises(NotSentError) as refused:
        await Sns(REGION).send(NOTICE, contact(Channel.SMS, "+4915123456789"), CONTENT)
    assert not refused.value.hopeless


# --- settings --------------------------------------------------------------------------------


def opened(url: str, **said: Any) -> set[Channel]:
    defaults: dict[str, Any] = {"mail_from": FROM, "sms_region": "", "topics": []}
    return set(open_senders(mail_url=url, base_url="http://x", **defaults | said))


def test_senders_when_settings_name_them_are_open() -> None:
    assert opened("") == set()
    assert opened("smtp://localhost") == {Channel.EMAIL}
    assert opened("ses://eu-central-1") == {Channel.EMAIL}
    assert opened("", sms_region=REGION) == {Channel.SMS}
    assert opened("", topics=["arn"]) == {Channel.SNS}


@pytest.mark.parametrize("url", ["smtp://", "http://localhost", "localhost:25"])
def test_senders_when_the_address_is_none_refuse_to_start(url: str) -> None:
    with pytest.raises(SettingInvalid, match="SAFELIGHT_MAIL_URL"):
        opened(url)


async def test_smtp_when_the_address_has_escapes_means_what_they_stand_for(
    tls: ssl.SSLContext,
) -> None:
    async with mailbox(tls, auth=True) as box:
        url = f"smtp://{USER}:p%3Ass%2Fw%40rd@localhost:{box.port}"
        sender = open_senders(
            mail_url=url,
            mail_from=f"Safelight <{FROM}>",
            sms_region="",
            topics=[],
            base_url="http://x",
        )[Channel.EMAIL]
        await sender.send(NOTICE, contact(Channel.EMAIL, TO), CONTENT)
    (got,) = box.got
    assert got["Message-ID"] == "<ntc_1@safelight.test>"
    assert got["From"] == f"Safelight <{FROM}>"

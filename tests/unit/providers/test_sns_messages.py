"""Genuine and forged messages of Amazon SNS."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from safelight.errors import Forbidden
from safelight.fetch.errors import FetchError
from safelight.providers.remote.sagemaker.sns import SnsVerifier, canonical
from tests.stubs.sagemaker import CERTIFICATE_URL, REGION, TOPIC, Sns

HOST = f"sns.{REGION}.amazonaws.com"


@pytest.fixture(scope="module")
def sns() -> Sns:
    return Sns()


def verifier(sns: Sns, now: timedelta = timedelta()) -> SnsVerifier:
    return SnsVerifier(HOST, frozenset({TOPIC}), sns.visit, lambda: datetime.now(UTC) + now)


async def refused(sns: Sns, body: bytes, now: timedelta = timedelta()) -> None:
    with pytest.raises(Forbidden):
        await verifier(sns, now).verify(body)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("more", [{}, {"Subject": "A subject"}])
async def test_verify_when_signed_then_returns_the_message(
    sns: Sns, version: str, more: dict[str, str]
) -> None:
    envelope = sns.notification("héllo\nworld", SignatureVersion=version, **more)
    heard = await verifier(sns).verify(sns.signed(envelope))
    assert (heard.kind, heard.topic, heard.message) == ("Notification", TOPIC, "héllo\nworld")
    assert not heard.subscribe_url


@pytest.mark.parametrize("version", ["1", "2"])
async def test_verify_when_a_confirmation_is_signed_then_returns_its_address(
    sns: Sns, version: str
) -> None:
    envelope = sns.confirmation(SignatureVersion=version)
    heard = await verifier(sns).verify(sns.signed(envelope))
    assert heard.subscribe_url == envelope["SubscribeURL"]


def test_canonical_when_written_then_is_as_documented() -> None:
    fields = {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": "t",
        "Subject": "s",
        "Message": "x",
        "Timestamp": "now",
        "Signature": "none of it",
    }
    assert canonical(fields) == (
        b"Message\nx\nMessageId\nm\nSubject\ns\nTimestamp\nnow\nTopicArn\nt\nType\nNotification\n"
    )


@pytest.mark.parametrize(
    "name", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", "Signature"]
)
async def test_verify_when_a_field_was_changed_then_refuses(sns: Sns, name: str) -> None:
    signed = json.loads(sns.signed(sns.notification("x", Subject="s")))
    await refused(sns, json.dumps(signed | {name: signed[name] + "A"}).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"SignatureVersion": "3"},
        {"SignatureVersion": ""},
        {"Signature": ""},
        {"Signature": "%%%"},
        {"Message": 3},
        {"Message": None},
        {"TopicArn": None},
        {"Type": "Notice"},
        {"Type": None},
    ],
)
async def test_verify_when_a_field_is_no_such_thing_then_refuses(
    sns: Sns, change: Mapping[str, Any]
) -> None:
    signed = json.loads(sns.signed(sns.notification("x")))
    await refused(sns, json.dumps(signed | change).encode())


async def test_verify_when_version_2_is_passed_off_as_1_then_refuses(sns: Sns) -> None:
    signed = json.loads(sns.signed(sns.notification("x")))
    await refused(sns, json.dumps(signed | {"SignatureVersion": "1"}).encode())


async def test_verify_when_a_subject_is_slipped_in_then_refuses(sns: Sns) -> None:
    signed = json.loads(sns.signed(sns.notification("x")))
    await refused(sns, json.dumps(signed | {"Subject": "s"}).encode())


async def test_verify_when_signed_by_another_key_then_refuses(sns: Sns) -> None:
    other = Sns()
    await refused(sns, other.signed(other.notification("x")))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b"\xff", b'{"Type":"Notification"}'])
async def test_verify_when_it_is_no_message_then_refuses(sns: Sns, body: bytes) -> None:
    await refused(sns, body)


async def test_verify_when_of_another_topic_then_refuses_without_a_visit(sns: Sns) -> None:
    sns.visited.clear()
    other = TOPIC.replace("answers", "others")
    await refused(sns, sns.signed(sns.notification("x", TopicArn=other)))
    assert not sns.visited


@pytest.mark.parametrize("now", [timedelta(minutes=61), timedelta(minutes=-6), timedelta(days=9)])
async def test_verify_when_replayed_or_early_then_refuses(sns: Sns, now: timedelta) -> None:
    await refused(sns, sns.signed(sns.notification("x")), now)


@pytest.mark.parametrize("now", [timedelta(minutes=59), timedelta(minutes=-4)])
async def test_verify_when_delivered_late_or_by_another_clock_then_believes(
    sns: Sns, now: timedelta
) -> None:
    assert await verifier(sns, now).verify(sns.signed(sns.notification("x")))


@pytest.mark.parametrize("timestamp", ["", "yesterday", "2026-13-45T00:00:00Z"])
async def test_verify_when_it_has_no_date_then_refuses(sns: Sns, timestamp: str) -> None:
    await refused(sns, sns.signed(sns.notification("x", Timestamp=timestamp)))


@pytest.mark.parametrize(
    "url",
    [
        "",
        CERTIFICATE_URL.replace("https", "http"),
        CERTIFICATE_URL.replace(HOST, "sns.us-east-1.amazonaws.com"),
        CERTIFICATE_URL.replace(HOST, f"{HOST}.evil.example"),
        CERTIFICATE_URL.replace(HOST, f"evil.example#{HOST}"),
        CERTIFICATE_URL.replace(HOST, f"{HOST}:444"),
        CERTIFICATE_URL.replace(HOST, f"{HOST}@evil.example"),
        CERTIFICATE_URL.replace(HOST, f"x@{HOST}"),
        CERTIFICATE_URL.replace(HOST, f"s3.amazonaws.com/{HOST}"),
        CERTIFICATE_URL.replace(".pem", ".crt"),
        CERTIFICATE_URL.replace(".pem", ".pem?x=.pem"),
        f"https://{HOST}/?Action=Any&x=.pem",
        "https://[/x.pem",
    ],
)
async def test_verify_when_the_certificate_is_elsewhere_then_never_goes_there(
    sns: Sns, url: str
) -> None:
    sns.visited.clear()
    await refused(sns, sns.signed(sns.notification("x", SigningCertURL=url)))
    assert not sns.visited


@pytest.mark.parametrize(
    "bad",
    [
        Sns("evil.example"),
        Sns("sns.amazonaws.com.evil.example"),
        Sns(valid=(timedelta(days=-9), timedelta(days=-1))),
        Sns(valid=(timedelta(days=1), timedelta(days=9))),
        Sns(bits=1024),
        Sns(curve=True),
    ],
    ids=["name", "longer name", "expired", "not yet valid", "short key", "curve"],
)
async def test_verify_when_the_certificate_is_implausible_then_refuses(bad: Sns) -> None:
    await refused(bad, bad.signed(bad.notification("x")))


async def test_verify_when_the_certificate_is_none_then_refuses(sns: Sns) -> None:
    async def visit(url: str) -> bytes:
        return b"<html>"

    strange = SnsVerifier(HOST, frozenset({TOPIC}), visit, lambda: datetime.now(UTC))
    with pytest.raises(Forbidden):
        await strange.verify(sns.signed(sns.notification("x")))


async def test_verify_when_the_certificate_cannot_be_had_then_is_not_called_a_forgery(
    sns: Sns,
) -> None:
    async def visit(url: str) -> bytes:
        raise FetchError("away")

    cut_off = SnsVerifier(HOST, frozenset({TOPIC}), visit, lambda: datetime.now(UTC))
    with pytest.raises(FetchError):
        await cut_off.verify(sns.signed(sns.notification("x")))


async def test_verify_when_more_come_then_keeps_a_few_certificates(sns: Sns) -> None:
    sns.visited.clear()
    known = verifier(sns)
    for _ in range(3):
        await known.verify(sns.signed(sns.notification("x")))
    assert len(sns.visited) == 1
    for number in range(9):
        url = CERTIFICATE_URL.replace("0123abcd", f"{number:08x}")
        await known.verify(sns.signed(sns.notification("x", SigningCertURL=url)))
    await known.verify(sns.signed(sns.notification("x")))
    assert len(sns.visited) == 11


async def test_verify_when_a_kept_certificate_expires_then_refuses(sns: Sns) -> None:
    now = datetime.now(UTC)
    clock = [now]
    known = SnsVerifier(HOST, frozenset({TOPIC}), sns.visit, lambda: clock[0])
    await known.verify(sns.signed(sns.notification("x")))
    clock[0] = now + timedelta(days=2)
    later = clock[0].strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with pytest.raises(Forbidden):
        await known.verify(sns.signed(sns.notification("x", Timestamp=later)))


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=1",
        f"https://evil.example/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=1",
        f"https://{HOST}@evil.example/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=1",
        f"https://{HOST}/?Action=Unsubscribe&TopicArn={TOPIC}&Token=1",
        f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}x&Token=1",
        f"https://{HOST}/?Action=ConfirmSubscription&Action=Publish&TopicArn={TOPIC}",
    ],
)
async def test_verify_when_the_confirmation_is_elsewhere_then_refuses(sns: Sns, url: str) -> None:
    await refused(sns, sns.signed(sns.confirmation(SubscribeURL=url)))


async def test_verify_when_the_region_is_in_china_then_its_host_counts(sns: Sns) -> None:
    host = "sns.cn-north-1.amazonaws.com.cn"
    url = CERTIFICATE_URL.replace(HOST, host)
    chinese = SnsVerifier(host, frozenset({TOPIC}), sns.visit, lambda: datetime.now(UTC))
    assert await chinese.verify(sns.signed(sns.notification("x", SigningCertURL=url)))

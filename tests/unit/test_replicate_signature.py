"""Callbacks of Replicate are proven by Standard Webhooks, and by nothing that looks like it."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from safelight.errors import Forbidden
from safelight.providers.provider import Callback
from safelight.providers.remote.replicate.signature import Seal, key_of

# The example that the scheme itself publishes; worked out again with openssl, not with our code.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  published with the example
BODY = b'{"test": 2432232314}'
SENT = 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = datetime.fromtimestamp(SENT, UTC)
OTHER = "v1," + base64.b64encode(bytes(32)).decode()


def callback(**changed: str) -> Callback:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": str(SENT),
        "webhook-signature": SIGNATURE,
    }
    named = {f"webhook-{name}": value for name, value in changed.items()}
    return Callback(headers | named, BODY)


def test_seal_when_signed_as_the_scheme_says_is_right() -> None:
    Seal.read(callback(), NOW).verify(BODY, key_of(SECRET))


@pytest.mark.parametrize(
    "signatures",
    [
        f"{OTHER} {SIGNATURE}",  # while keys are changed, of the old and of the new
        f"{SIGNATURE} {OTHER}",
        f"v1a,nonsense {SIGNATURE} v2,nonsense",
        f"  {SIGNATURE}  ",
    ],
)
def test_seal_when_others_have_signed_too_is_right(signatures: str) -> None:
    Seal.read(callback(signature=signatures), NOW).verify(BODY, key_of(SECRET))


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({}, BODY + b"\n"),
        ({}, b'{"test":2432232314}'),
        ({"id": "msg_other"}, BODY),
        ({"timestamp": str(SENT + 1)}, BODY),
        ({"signature": OTHER}, BODY),
        ({"signature": "v1," + SIGNATURE}, BODY),
        ({"signature": SIGNATURE.removesuffix("=")}, BODY),
        ({"signature": "v1,"}, BODY),
        ({"signature": "v1,\xe4\xf6"}, BODY),
    ],
)
def test_seal_when_anything_was_changed_is_wrong(changed: dict[str, str], body: bytes) -> None:
    with pytest.raises(Forbidden):
        Seal.read(callback(**changed), NOW).verify(body, key_of(SECRET))


@pytest.mark.parametrize(
    "changed",
    [
        {"id": ""},
        {"id": "m" * 257},
        {"timestamp": ""},
        {"timestamp": "-1"},
        {"timestamp": "1614265330.5"},
        {"timestamp": "1" * 12},
        {"timestamp": "1" * 5000},
        {"timestamp": "\u0661" * 10},
        {"signature": ""},
        {"signature": SIGNATURE.removeprefix("v1,")},
        {"signature": SIGNATURE.replace("v1,", "v1a,")},
        {"signature": "v1a,x " * 16 + SIGNATURE},
    ],
)
def test_seal_when_the_headers_cannot_be_genuine_is_not_even_held_to_a_key(
    changed: dict[str, str],
) -> None:
    with pytest.raises(Forbidden, match="not signed"):
        Seal.read(callback(**changed), NOW)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_seal_when_its_time_is_just_near_enough_is_right(seconds: int) -> None:
    Seal.read(callback(), NOW + timedelta(seconds=seconds)).verify(BODY, key_of(SECRET))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_seal_when_its_time_is_just_too_far_is_stale(seconds: int) -> None:
    with pytest.raises(Forbidden, match="stale"):
        Seal.read(callback(), NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        "whsec_" + base64.b64encode(bytes(15)).decode(),
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 24).decode(),
        SECRET + "!",
    ],
)
def test_key_when_the_secret_is_none_is_refused_without_telling_it(secret: str) -> None:
    with pytest.raises(ValueError, match="callback secret") as caught:
        key_of(secret)
    assert not secret.removeprefix("whsec_") or secret not in str(caught.value)


def test_key_when_the_secret_has_sixteen_bytes_is_long_enough() -> None:
    assert key_of("whsec_" + base64.b64encode(bytes(range(16))).decode()) == bytes(range(16))

"""Proves that a message came from Amazon SNS: its signature, its topic, its age, its certificate.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.parse import parse_qs, urlsplit

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from safelight.errors import Forbidden

Visit = Callable[[str], Awaitable[bytes]]
"""Returns what an address leads to, with a deadline and a limit of bytes; raises a `FetchError`."""
Clock = Callable[[], datetime]

NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"

# The fields that are signed, by the message's type, in the order that they are written.
_CONFIRMED = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: _CONFIRMED,
    "UnsubscribeConfirmation": _CONFIRMED,
}
_OPTIONAL = "Subject"
_HASHES = {"1": SHA1, "2": SHA256}  # of the signature's versions
_OLDEST = timedelta(hours=1)
_AHEAD = timedelta(minutes=5)  # another clock than ours
_LEAST_KEY_BITS = 2048
_MOST_CERTIFICATES = 8


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """A message whose sender is proven. `subscribe_url` is set where it asks for confirmation."""

    kind: str
    topic: str
    message: str
    subscribe_url: str = ""


class SnsVerifier:
    """Verifies messages of known topics; keeps the few certificates that these are signed with."""

    def __init__(self, host: str, topics: frozenset[str], visit: Visit, clock: Clock) -> None:
        self._host = host
        self._topics = topics
        self._visit = visit
        self._clock = clock
        self._certificates: dict[str, x509.Certificate] = {}

    async def verify(self, body: bytes) -> SnsMessage:
        """Return the message; raise `Forbidden` for whatever is not proven to be one of ours.

        Raises a `FetchError` where the certificate cannot be had now.
        """
        fields = _fields(body)
        kind = fields.get("Type", "")
        text = canonical(fields)
        if fields["TopicArn"] not in self._topics:
            raise Forbidden("The message is of another topic.")
        self._check_age(fields["Timestamp"])
        url = fields.get("SigningCertURL", "")
        if not _is_certificate(url, self._host):
            raise Forbidden("The message names no certificate of Amazon SNS.")
        _check_signature(await self._key(url), fields, text)
        asks = kind == CONFIRMATION
        return SnsMessage(
            kind,
            fields["TopicArn"],
            fields["Message"],
            self._checked_url(fields) if asks else "",
        )

    def _check_age(self, timestamp: str) -> None:
        try:
            sent = datetime.fromisoformat(timestamp)
        except ValueError:
            raise Forbidden("The message has no date.") from None
        if sent.tzinfo is None:
            sent = sent.replace(tzinfo=UTC)
        if not -_AHEAD <= self._clock() - sent <= _OLDEST:
            raise Forbidden("The message is too old, or from the future.")

    def _checked_url(self, fields: Mapping[str, str]) -> str:
        """Return the address that confirms, which must do that at Amazon SNS and nothing else."""
        url = fields["SubscribeURL"]
        query = parse_qs(urlsplit(url).query) if _is_at(url, self._host) else {}
        topic = [fields["TopicArn"]]
        if query.get("Action") != ["ConfirmSubscription"] or query.get("TopicArn") != topic:
            raise Forbidden("The message wants another address than its own topic confirmed.")
        return url

    async def _key(self, url: str) -> RSAPublicKey:
        certificate = self._certificates.get(url)
        if certificate is None:
            try:
                certificate = x509.load_pem_x509_certificate(await self._visit(url))
            except ValueError:
                raise Forbidden("The message's certificate cannot be read.") from None
        key = _plausible_key(certificate, self._clock())
        self._certificates[url] = certificate
        while len(self._certificates) > _MOST_CERTIFICATES:
            self._certificates.pop(next(iter(self._certificates)))
        return key


def canonical(fields: Mapping[str, str]) -> bytes:
    """Return what is signed: each signed field's name and value, a line each."""
    names = _SIGNED.get(fields.get("Type", ""))
    if names is None:
        raise Forbidden("The message is of no kind that Amazon SNS sends.")
    lines: list[str] = []
    for name in names:
        if name in fields:
            lines += [name, fields[name]]
        elif name != _OPTIONAL:
            raise Forbidden(f"The message has no {name}.")
    return "".join(f"{line}\n" for line in lines).encode()


def _fields(body: bytes) -> Mapping[str, str]:
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise Forbidden("The message is no JSON object.")
    pairs = cast("dict[str, object]", document).items()
    return {name: value for name, value in pairs if isinstance(value, str)}


def _is_at(url: str, host: str) -> bool:
    """Say whether `url` leads to `host` by https, and spells nothing out that could deceive."""
    try:
        parts = urlsplit(url)
        return url.isascii() and parts.scheme == "https" and parts.netloc == host
    except ValueError:
        return False


def _is_certificate(url: str, host: str) -> bool:
    return _is_at(url, host) and urlsplit(url).path.endswith(".pem") and "?" not in url


def _check_signature(key: RSAPublicKey, fields: Mapping[str, str], text: bytes) -> None:
    hashed = _HASHES.get(fields.get("SignatureVersion", ""))
    if hashed is None:
        raise Forbidden("The message's signature is of an unknown version.")
    try:
        signature = base64.b64decode(fields.get("Signature", ""), validate=True)
        key.verify(signature, text, PKCS1v15(), hashed())
    except (binascii.Error, ValueError, InvalidSignature):
        raise Forbidden("The message's signature is wrong.") from None


def _plausible_key(certificate: x509.Certificate, now: datetime) -> RSAPublicKey:
    """Return the key of a certificate that can be Amazon SNS's, as far as it tells itself.

    What proves it is where it was had: at Amazon SNS, by https.
    """
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Forbidden("The message's certificate is not valid now.")
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    if not (name.startswith("sns") and name.endswith((".amazonaws.com", ".amazonaws.com.cn"))):
        raise Forbidden("The message's certificate is not of Amazon SNS.")
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_KEY_BITS:
        raise Forbidden("The message's certificate has another kind of key.")
    return key

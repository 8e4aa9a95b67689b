"""Authenticates messages of Amazon SNS: signature, topic, age and certificate.

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
"""Downloads a URL, with a deadline and a size limit; raises a `FetchError`."""
Clock = Callable[[], datetime]

NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"

# The signed fields by message type, in signing order.
_CONFIRMED = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: _CONFIRMED,
    "UnsubscribeConfirmation": _CONFIRMED,
}
_OPTIONAL = "Subject"
_HASHES = {"1": SHA1, "2": SHA256}  # by signature version
_OLDEST = timedelta(hours=1)
_AHEAD = timedelta(minutes=5)  # clock skew
_LEAST_KEY_BITS = 2048
_MOST_CERTIFICATES = 8


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """An authenticated message. `subscribe_url` is set for a subscription confirmation."""

    kind: str
    topic: str
    message: str
    subscribe_url: str = ""


class SnsVerifier:
    """Authenticates messages of known topics, and caches the signing certificates."""

    def __init__(self, host: str, topics: frozenset[str], visit: Visit, clock: Clock) -> None:
        self._host = host
        self._topics = topics
        self._visit = visit
        self._clock = clock
        self._certificates: dict[str, x509.Certificate] = {}

    async def verify(self, body: bytes) -> SnsMessage:
        """Return the message; raise `Forbidden` if it is not authentic or not ours.

        Raises a `FetchError` if the certificate cannot be downloaded.
        """
        fields = _fields(body)
        kind = fields.get("Type", "")
        text = canonical(fields)
        if fields["TopicArn"] not in self._topics:
            raise Forbidden("The message is from another topic.")
        self._check_age(fields["Timestamp"])
        url = fields.get("SigningCertURL", "")
        if not _is_certificate(url, self._host):
            raise Forbidden("The message's certificate URL is not Amazon SNS's.")
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
        """Return the confirmation URL, which must confirm this topic at Amazon SNS."""
        url = fields["SubscribeURL"]
        query = parse_qs(urlsplit(url).query) if _is_at(url, self._host) else {}
        topic = [fields["TopicArn"]]
        if query.get("Action") != ["ConfirmSubscription"] or query.get("TopicArn") != topic:
            raise Forbidden("The message's confirmation URL is not for its own topic.")
        return url

    async def _key(self, url: str) -> RSAPublicKey:
        certificate = self._certificates.get(url)
        if certificate is None:
            try:
                certificate = x509.load_pem_x509_certificate(await self._visit(url))
            except ValueError:
                raise Forbidden("The message's certificate is invalid.") from None
        key = _plausible_key(certificate, self._clock())
        self._certificates[url] = certificate
        while len(self._certificates) > _MOST_CERTIFICATES:
            self._certificates.pop(next(iter(self._certificates)))
        return key


def canonical(fields: Mapping[str, str]) -> bytes:
    """Return the signed text: the name and value of each signed field, one per line."""
    names = _SIGNED.get(fields.get("Type", ""))
    if names is None:
        raise Forbidden("The message has an unknown type.")
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
        raise Forbidden("The message is not a JSON object.")
    pairs = cast("dict[str, object]", document).items()
    return {name: value for name, value in pairs if isinstance(value, str)}


def _is_at(url: str, host: str) -> bool:
    """Return whether `url` is an https URL of `host`, without user info or port."""
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
        raise Forbidden("The message has an unknown signature version.")
    try:
        signature = base64.b64decode(fields.get("Signature", ""), validate=True)
        key.verify(signature, text, PKCS1v15(), hashed())
    except (binascii.Error, ValueError, InvalidSignature):
        raise Forbidden("The message's signature is wrong.") from None


def _plausible_key(certificate: x509.Certificate, now: datetime) -> RSAPublicKey:
    """Return the key of a certificate whose own fields match Amazon SNS.

    Its authenticity comes from its download from Amazon SNS over https.
    """
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Forbidden("The message's certificate is not valid now.")
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    if not (name.startswith("sns") and name.endswith((".amazonaws.com", ".amazonaws.com.cn"))):
        raise Forbidden("The message's certificate is not Amazon SNS's.")
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_KEY_BITS:
        raise Forbidden("The message's certificate has another kind of key.")
    return key

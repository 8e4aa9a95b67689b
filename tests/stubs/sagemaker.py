"""SageMaker, the S3 that its requests lie in, and the SNS that it reports through, as tests wish.

Written from WIRE.md C.5 and botocore's models of the services.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tests.stubs.vendor import PRICE_MICROS, Call, Entry, Reply, Vendor

REGION = "eu-central-1"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:answers"
CERTIFICATE_URL = f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-0123abcd.pem"
INVOKE = r"/endpoints/([^/]+)/async-invocations"
_ANSWERS = ("outputs", "answers")  # bucket and folder, as the endpoint is configured
_FAILURES = ("outputs", "failures")
_ABSENT = "<Error><Code>NoSuchKey</Code></Error>"


@dataclass
class SageMaker(Vendor):
    """One address for all three services; `objects` holds what S3 does, by bucket and key.

    With a `picture` the endpoint answers by itself, `work_s` after a request.
    """

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes])
    buckets: set[str] = field(default_factory=lambda: {"inputs", "outputs"})
    instances: int = 1
    endpoint_status: str = "InService"
    answers: tuple[str, str] = _ANSWERS
    failures: tuple[str, str] = _FAILURES
    picture: bytes = b""
    work_s: float = 0.5
    orders: list[bytes] = field(default_factory=list[bytes])  # the inputs of accepted requests
    accepted: list[str] = field(default_factory=list[str])  # the attempts that they are of
    cancels: list[str] = field(default_factory=list[str])  # the keys of inputs that were removed

    def __post_init__(self) -> None:
        super().__init__()
        self.route("POST", INVOKE, self._invoke)
        self.route("POST", "/", self._describe)
        self.route("*", r"/([a-z]+)(?:/(.*))?", self._s3)

    # --- what the endpoint does with a request, as told by the test ------------------------------

    def finish(self, attempt_id: str, answer: Any) -> None:
        """Put the answer where SageMaker would."""
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        bucket, folder = self.answers
        self.objects[bucket, f"{folder}/{attempt_id}/answer"] = body

    def fail(self, attempt_id: str, text: str, name: str = "answer") -> None:
        """Put the words of a failure where SageMaker would."""
        bucket, folder = self.failures
        self.objects[bucket, f"{folder}/{attempt_id}/{name}"] = text.encode()

    def ledger(self) -> list[Entry]:
        """Return every accepted request; failed ones cost nothing."""
        return [
            Entry(
                attempt_id,
                json.loads(order or b"{}").get("prompt", ""),
                sum(key.endswith(f"{attempt_id}.json") for key in self.cancels),
                self._cost(attempt_id),
            )
            for attempt_id, order in zip(self.accepted, self.orders, strict=True)
        ]

    def _cost(self, attempt_id: str) -> int | None:
        if (self.answers[0], f"{self.answers[1]}/{attempt_id}/answer") in self.objects:
            return PRICE_MICROS
        has_failed = (self.failures[0], f"{self.failures[1]}/{attempt_id}/answer") in self.objects
        return 0 if has_failed else None

    def _end(self, attempt_id: str, source: tuple[str, str]) -> None:
        """Answer by itself: a request whose input is gone by then has failed."""
        if source not in self.objects:
            self.fail(attempt_id, "The input object could not be read.")
            return
        spelled = base64.b64encode(self.picture).decode()
        self.finish(attempt_id, {"images": [{"base64": spelled}]})

    # --- the services ----------------------------------------------------------------------------

    def _invoke(self, call: Call) -> Reply:
        def given(name: str) -> str:
            return call.headers[f"x-amzn-sagemaker-{name}"]

        name = f"{given('s3outputpathextension')}/{given('filename')}"
        bucket, _, key = given("inputlocation").removeprefix("s3://").partition("/")
        self.orders.append(self.objects.get((bucket, key), b""))
        attempt_id = given("s3outputpathextension")
        self.accepted.append(attempt_id)
        if self.picture:
            loop = asyncio.get_running_loop()
            loop.call_later(self.work_s, self._end, attempt_id, (bucket, key))
        headers = {
            "X-Amzn-SageMaker-OutputLocation": f"s3://{'/'.join(self.answers)}/{name}",
            "X-Amzn-SageMaker-FailureLocation": f"s3://{'/'.join(self.failures)}/{name}",
        }
        return Reply(202, {"InferenceId": given("inference-id")}, headers)

    def _describe(self, call: Call) -> Reply:
        variant = {"VariantName": "main", "CurrentInstanceCount": self.instances}
        document = {"EndpointStatus": self.endpoint_status, "ProductionVariants": [variant]}
        return Reply(200, call.json | document)

    def _s3(self, call: Call) -> Reply:
        bucket, key = call.match
        if bucket not in self.buckets:
            return _xml("<Error><Code>NoSuchBucket</Code></Error>", 404)
        if "delete" in call.query:
            return self._delete(bucket, call.body.decode())
        if "list-type" in call.query:
            return self._list(bucket, call.query.get("prefix", ""))
        if call.method == "PUT":
            self.objects[bucket, key] = call.body
            return Reply(200, b"", _OF_OBJECT)
        body = self.objects.get((bucket, key))
        return _xml(_ABSENT, 404) if body is None else Reply(200, body, _OF_OBJECT)

    def _delete(self, bucket: str, order: str) -> Reply:
        key = order.partition("<Key>")[2].partition("</Key>")[0]
        if self.objects.pop((bucket, key), None) is not None:
            self.cancels.append(key)
        return _xml(f"<DeleteResult><Deleted><Key>{escape(key)}</Key></Deleted></DeleteResult>")

    def _list(self, bucket: str, prefix: str) -> Reply:
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size>"
            '<LastModified>2026-11-23T08:00:00.000Z</LastModified><ETag>"x"</ETag></Contents>'
            for (where, key), body in sorted(self.objects.items())
            if where == bucket and key.startswith(prefix)
        )
        return _xml(f"<ListBucketResult><Name>{bucket}</Name>{entries}</ListBucketResult>")


_OF_OBJECT = {"ETag": '"x"', "Last-Modified": "Mon, 23 Nov 2026 08:00:00 GMT"}


def _xml(body: str, status: int = 200) -> Reply:
    return Reply(status, body, {"Content-Type": "application/xml"})


def problem(code: str, message: str = "no") -> Mapping[str, str]:
    """Return the body of an error as AWS's JSON services write it."""
    return {"__type": code, "message": message}


def is_signed(call: Call, secret: str, service: str = "sagemaker") -> bool:
    """Say whether a call is signed as AWS demands it: its Signature Version 4, of what arrived.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    given = dict(
        part.strip().split("=", 1)
        for part in call.headers["authorization"].removeprefix("AWS4-HMAC-SHA256").split(",")
    )
    names = given["SignedHeaders"].split(";")
    headers = "".join(f"{name}:{call.headers[name]}\n" for name in names)
    body = hashlib.sha256(call.body).hexdigest()
    canonical = "\n".join([call.method, call.path, "", headers, ";".join(names), body])
    _, _, scope = given["Credential"].partition("/")
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", call.headers["x-amz-date"], scope, hashed])
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/")[:2], service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest() == given["Signature"]


# --- SNS ------------------------------------------------------------------------------------------


def outcome(attempt_id: str, endpoint: str, *, failed: str = "", **changes: Any) -> dict[str, Any]:
    """Return what SageMaker tells a topic of a request."""
    told: dict[str, Any] = {
        "awsRegion": REGION,
        "eventTime": "2026-11-23T08:00:00.000Z",
        "receivedTime": "2026-11-23T07:59:00.000Z",
        "invocationStatus": "Failed" if failed else "Completed",
        "requestParameters": {
            "contentType": "application/json",
            "endpointName": endpoint,
            "inputLocation": f"s3://inputs/{attempt_id}.json",
        },
        "inferenceId": attempt_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if failed:
        told["failureReason"] = failed
    else:
        location = f"s3://outputs/answers/{attempt_id}/answer"
        told["responseParameters"] = {
            "contentType": "application/json",
            "outputLocation": location,
        }
    return told | changes


class Sns:
    """Signs messages with a key and a certificate of its own."""

    def __init__(
        self,
        name: str = "sns.amazonaws.com",
        *,
        bits: int = 2048,
        valid: tuple[timedelta, timedelta] = (timedelta(days=-1), timedelta(days=1)),
        curve: bool = False,
    ) -> None:
        self.key = rsa.generate_private_key(65537, bits)
        key = ec.generate_private_key(ec.SECP256R1()) if curve else self.key
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + valid[0])
            .not_valid_after(now + valid[1])
            .sign(key, SHA256())
        )
        self.pem = certificate.public_bytes(Encoding.PEM)
        self.visited: list[str] = []

    async def visit(self, url: str) -> bytes:
        """Answer as the addresses of SNS do."""
        self.visited.append(url)
        return self.pem if url.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"

    def notification(self, message: Any, **changes: str) -> dict[str, str]:
        """Return an envelope that is not signed yet."""
        text = message if isinstance(message, str) else json.dumps(message)
        return self._envelope("Notification", {"Message": text} | changes)

    def confirmation(self, **changes: str) -> dict[str, str]:
        """Return the question whether a topic may report here, not signed yet."""
        address = f"https://sns.{REGION}.amazonaws.com/?Action=ConfirmSubscription"
        usual = {
            "Message": "You have chosen to subscribe to the topic.",
            "Token": "2336412f37f",
            "SubscribeURL": f"{address}&TopicArn={TOPIC}&Token=2336412f37f",
        }
        return self._envelope("SubscriptionConfirmation", usual | changes)

    def _envelope(self, kind: str, fields: Mapping[str, str]) -> dict[str, str]:
        usual = {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "SignatureVersion": "2",
            "SigningCertURL": CERTIFICATE_URL,
            "UnsubscribeURL": f"https://sns.{REGION}.amazonaws.com/?Action=Unsubscribe",
        }
        return usual | dict(fields)

    def signed(self, envelope: Mapping[str, str]) -> bytes:
        """Sign as AWS documents it, written here a second time so that tests hold us to it."""
        names = ["Message", "MessageId"]
        if envelope["Type"] == "Notification":
            names += ["Subject"] if "Subject" in envelope else []
            names += ["Timestamp", "TopicArn", "Type"]
        else:
            names += ["SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{name}\n{envelope[name]}\n" for name in names).encode()
        hashed = SHA1() if envelope["SignatureVersion"] == "1" else SHA256()  # noqa: S303  SNS's
        signature = self.key.sign(text, PKCS1v15(), hashed)
        return json.dumps(
            dict(envelope) | {"Signature": base64.b64encode(signature).decode()}
        ).encode()

"""The `sagemaker` plug against a stub of SageMaker, S3 and SNS, and against moto's."""

import asyncio
import base64
import json
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx2
import jsonschema_rs
import pytest

from safelight.errors import Forbidden, SafelightError, SettingInvalid
from safelight.fetch import Fetcher, FetchPolicy
from safelight.fetch.errors import FetchError, FetchTooLarge
from safelight.media.errors import MediaEmpty, MediaTruncated, MediaUnsupported
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderWorkFailed,
    UnknownOutcome,
)
from safelight.providers.provider import (
    Callback,
    Canceled,
    Done,
    Failed,
    InputFile,
    Kind,
    LostStart,
    Pending,
    ProviderRequest,
    Role,
)
from safelight.providers.remote.sagemaker import (
    S3Place,
    SageMakerConfig,
    image_model,
    open_sagemaker,
)
from safelight.providers.remote.sagemaker.credentials import (
    AmbientCredentials,
    Keys,
    StaticCredentials,
)
from safelight.providers.remote.sagemaker.provider import SageMakerProvider
from tests import brokers, pictures
from tests.servers import wait_until_async
from tests.stubs import vendor
from tests.stubs.sagemaker import INVOKE, REGION, TOPIC, SageMaker, Sns, is_signed, outcome, problem
from tests.stubs.vendor import Fault

ATTEMPT = "att_01k9zzzzzzzzzzzzzzzzzzzzzz"
OTHER = "att_01k8aaaaaaaaaaaaaaaaaaaaaa"
ENDPOINT = "safelight-image"
MODEL = image_model(ENDPOINT)
INPUT = ("inputs", f"orders/{ATTEMPT}.json")
PNG = pictures.picture("png")
PNG_TEXT = base64.b64encode(PNG).decode()
OUTPUT_PATH = f"/outputs/answers/{ATTEMPT}/answer"


OF_OBJECT = {"ETag": '"x"', "Last_Modified": "Mon, 23 Nov 2026 08:00:00 GMT"}
# As SageMaker quotes what a container said.
QUOTING = (
    'Received client error (400) from primary with message "%s". See https://console.x/y in '
    "account 123456789012 for more information."
)
ESCAPED = r"{\"error\":{\"code\":\"content_refused\",\"categories\":[\"gore\"]}}"


class Handle:
    """An attempt with nothing to report."""

    def __init__(self, *, callback_url: str | None = None, news: bytes | None = None) -> None:
        self.id = ATTEMPT
        self.callback_url = callback_url
        self.news = news

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None: ...


def config_for(url: str, **changes: Any) -> SageMakerConfig:
    return replace(
        SageMakerConfig(
            region=REGION,
            inputs=S3Place.read("s3://inputs/orders"),
            outputs=S3Place.read("s3://outputs/answers/"),
            failures=S3Place.read("s3://outputs/failures"),
            topics=frozenset({TOPIC}),
            runtime_url=url,
            control_url=url,
            s3_url=url,
            call_s=5.0,
            transfer_s=5.0,
        ),
        **changes,
    )


def unused_fetcher() -> Fetcher:
    """A fetcher that spares reading the system's roots: nothing is fetched here."""
    return Fetcher(FetchPolicy(), tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


@asynccontextmanager
async def opened(
    config: SageMakerConfig, sns: Sns | None = None
) -> AsyncIterator[SageMakerProvider]:
    keys = StaticCredentials(Keys("AKIDTEST", "not secret", "a token"))
    visit = sns.visit if sns else None
    async with (
        unused_fetcher() as fetcher,
        SageMakerProvider(config, keys, fetcher, (MODEL,), visit=visit) as plug,
    ):
        yield plug


@pytest.fixture
async def stub() -> AsyncIterator[SageMaker]:
    async with SageMaker().running() as server:
        yield server


@pytest.fixture
async def plug(stub: SageMaker) -> AsyncIterator[SageMakerProvider]:
    async with opened(config_for(stub.url)) as made:
        yield made


@pytest.fixture
async def hasty(stub: SageMaker) -> AsyncIterator[SageMakerProvider]:
    """A plug that waits for nobody."""
    async with opened(config_for(stub.url, call_s=0.2, transfer_s=0.2)) as made:
        yield made


@pytest.fixture(scope="module")
def sns() -> Sns:
    return Sns()


@pytest.fixture
def request_(tmp_path: Path) -> ProviderRequest:
    params = {"width": 64, "height": 48, "seed": 7}
    return ProviderRequest(Kind.TEXT_TO_IMAGE, MODEL.id, "a cat", params, (), tmp_path / "scratch")


async def started(plug: SageMakerProvider, request: ProviderRequest) -> str:
    answer = await plug.start(request, Handle())
    assert isinstance(answer, Pending)
    return answer.ticket


async def checked(plug: SageMakerProvider, ticket: str, request: ProviderRequest) -> Done:
    answer = await plug.check(ticket, request, Handle())
    assert isinstance(answer, Done)
    return answer


async def failed(plug: SageMakerProvider, ticket: str, request: ProviderRequest) -> Failed:
    answer = await plug.check(ticket, request, Handle())
    assert isinstance(answer, Failed)
    assert answer.cost_micros is None, "AWS bills hours, not requests"
    return answer


def lost(request: ProviderRequest, attempt_id: str = ATTEMPT) -> LostStart:
    return LostStart(attempt_id, datetime.now(UTC), request)


# --- handing in -----------------------------------------------------------------------------------


async def test_start_when_all_is_well_then_hands_in_what_lies_in_s3(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    answer = await plug.start(request_, Handle())
    assert isinstance(answer, Pending)
    assert answer.check_after == timedelta(seconds=2)
    order = json.loads(stub.objects[INPUT])
    assert order == {"prompt": "a cat", "width": 64, "height": 48, "seed": 7}
    (call,) = stub.called("POST", INVOKE)
    told = {
        name.removeprefix("x-amzn-sagemaker-"): value
        for name, value in call.headers.items()
        if name.startswith("x-amzn-sagemaker-")
    }
    assert told == {
        "inputlocation": f"s3://inputs/orders/{ATTEMPT}.json",
        "content-type": "application/json",
        "accept": "application/json",
        "inference-id": ATTEMPT,
        "s3outputpathextension": ATTEMPT,
        "filename": "answer",
        "requestttlseconds": "900",
        "invocationtimeoutseconds": "600",
    }
    assert is_signed(call, "not secret")
    signed = call.headers["authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDTEST/")
    assert f"/{REGION}/sagemaker/aws4_request" in signed
    assert call.headers["x-amz-security-token"] == "a token"


async def test_start_when_pictures_come_along_then_are_in_the_order_with_their_roles(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    reference = InputFile(tmp_path / "a.png", "image/png")
    mask = replace(reference, role=Role.MASK)
    await plug.start(replace(request_, inputs=(reference, mask)), Handle())
    order = json.loads(stub.objects[INPUT])
    assert order["images"] == [PNG_TEXT, PNG_TEXT]
    assert order["image_roles"] == ["reference", "mask"]


async def test_start_when_notices_will_come_then_looks_seldom(
    plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    answer = await plug.start(request_, Handle(callback_url="https://here.example/callbacks/x"))
    assert isinstance(answer, Pending)
    assert answer.check_after == timedelta(seconds=60)


async def test_start_when_the_model_is_unknown_then_sends_nothing(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    with pytest.raises(ProviderRejected):
        await plug.start(replace(request_, model="sagemaker/other"), Handle())
    assert not stub.calls


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.refuse(400, problem("ValidationError", "Endpoint x not found")), ProviderRejected),
        (vendor.refuse(400, problem("ThrottlingException")), ProviderRateLimited),
        (vendor.refuse(429, b""), ProviderRateLimited),
        (vendor.refuse(403, problem("AccessDeniedException")), ProviderUnauthorized),
        (vendor.refuse(403, problem("ExpiredTokenException")), ProviderUnauthorized),
        (vendor.refuse(500, problem("InternalFailure")), ProviderError),
        (vendor.refuse(503, problem("com.amazon#ServiceUnavailable")), ProviderError),
        (vendor.refuse(500, b"<html>"), UnknownOutcome),
        (vendor.refuse(424, b"", X_Amzn_ErrorType="ModelError:http://x/"), ProviderError),
        (vendor.refuse(502, b"<html>"), UnknownOutcome),
        (vendor.refuse(504, b""), UnknownOutcome),
        (vendor.cut, UnknownOutcome),
        (vendor.lose_answer, UnknownOutcome),
        (vendor.garbage, UnknownOutcome),
        (vendor.html, UnknownOutcome),
        (vendor.no_json, UnknownOutcome),
        (vendor.cut_in_body, UnknownOutcome),
    ],
)
async def test_start_when_handing_in_fails_then_says_how_and_never_again(
    stub: SageMaker,
    plug: SageMakerProvider,
    request_: ProviderRequest,
    fault: Fault,
    error: type[SafelightError],
) -> None:
    stub.fault("POST", INVOKE, fault)
    with pytest.raises(SafelightError) as caught:
        await plug.start(request_, Handle())
    assert type(caught.value) is error
    assert len(stub.called("POST", INVOKE)) == 1


async def test_start_when_throttled_with_a_wait_then_passes_it_on(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    stub.fault("POST", INVOKE, vendor.refuse(400, problem("Throttling"), Retry_After="7"))
    with pytest.raises(ProviderRateLimited) as caught:
        await plug.start(request_, Handle())
    assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    "fault",
    [vendor.hang, vendor.hang_after_headers, vendor.hang_in_body, vendor.drip(0.05)],
)
async def test_start_when_the_answer_hangs_then_its_outcome_is_unknown(
    stub: SageMaker, hasty: SageMakerProvider, request_: ProviderRequest, fault: Fault
) -> None:
    stub.fault("POST", INVOKE, fault)
    with pytest.raises(UnknownOutcome):
        await hasty.start(request_, Handle())
    assert len(stub.called("POST", INVOKE)) == 1


async def test_start_when_the_error_tells_of_the_account_then_keeps_that_to_itself(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    said = "User: arn:aws:iam::123456789012:user/x is not authorized; account 123456789012"
    stub.fault("POST", INVOKE, vendor.refuse(403, problem("AccessDeniedException", said)))
    with pytest.raises(ProviderUnauthorized) as caught:
        await plug.start(request_, Handle())
    assert "123456789012" not in caught.value.detail
    assert "is not authorized" in caught.value.detail


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.refuse(403, "<Error><Code>AccessDenied</Code></Error>"), ProviderUnauthorized),
        (vendor.refuse(503, "<Error><Code>SlowDown</Code></Error>"), ProviderRateLimited),
        (vendor.refuse(500, b""), ProviderError),
        (vendor.cut, ProviderError),
        (vendor.garbage, ProviderError),
    ],
)
async def test_start_when_the_order_cannot_be_written_then_nothing_is_handed_in(
    stub: SageMaker,
    plug: SageMakerProvider,
    request_: ProviderRequest,
    fault: Fault,
    error: type[SafelightError],
) -> None:
    stub.fault("PUT", r"/inputs/.*", fault)
    with pytest.raises(SafelightError) as caught:
        await plug.start(request_, Handle())
    assert type(caught.value) is error
    assert len(stub.called("PUT", r"/inputs/.*")) == 1
    assert not stub.called("POST", INVOKE)


async def test_start_when_the_store_hangs_then_fails_in_time(
    stub: SageMaker, hasty: SageMakerProvider, request_: ProviderRequest
) -> None:
    stub.fault("PUT", r"/inputs/.*", vendor.hang)
    with pytest.raises(ProviderError) as caught:
        await hasty.start(request_, Handle())
    assert type(caught.value) is ProviderError


async def test_start_when_the_bucket_is_missing_then_says_so(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    stub.buckets.remove("inputs")
    with pytest.raises(ProviderRejected, match="no bucket inputs"):
        await plug.start(request_, Handle())


async def test_start_when_nobody_listens_then_nothing_was_begun(
    request_: ProviderRequest, stub: SageMaker
) -> None:
    nowhere = "http://127.0.0.1:1"
    async with opened(config_for(stub.url, runtime_url=nowhere)) as plug:
        with pytest.raises(ProviderError) as caught:
            await plug.start(request_, Handle())
    assert type(caught.value) is ProviderError


async def test_start_when_canceled_then_stops_at_once(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    async def arrived() -> bool:
        return bool(stub.called("POST", INVOKE))

    stub.fault("POST", INVOKE, vendor.hang)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(plug.start(request_, Handle()))
        await wait_until_async(arrived)
        work.cancel()
    assert work.cancelled()
    assert not request_.folder.exists()


@pytest.mark.parametrize("place", ["answers", "failures"])
async def test_start_when_the_endpoint_writes_elsewhere_then_pays_for_no_second_one(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest, place: str
) -> None:
    setattr(stub, place, ("elsewhere", "x"))
    with pytest.raises(UnknownOutcome, match="another S3 location"):
        await plug.start(request_, Handle())
    with pytest.raises(ProviderRejected, match="another S3 location"):
        await plug.start(request_, Handle())
    assert len(stub.called("POST", INVOKE)) == 1


# --- looking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"images": [{"base64": PNG_TEXT}]},
        {"images": [PNG_TEXT]},
        {"images": [f"data:image/png;base64,{PNG_TEXT}"]},
        {"generated_images": [PNG_TEXT]},
        {"generated_image": PNG_TEXT},
        {"images": [{"s3": f"s3://outputs/answers/{ATTEMPT}/0.png"}]},
        PNG,
    ],
    ids=["ours", "plain", "data", "stock list", "stock", "s3", "raw"],
)
async def test_check_when_an_answer_of_any_form_is_there_then_brings_it_home(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest, answer: Any
) -> None:
    ticket = await started(plug, request_)
    stub.objects["outputs", f"answers/{ATTEMPT}/0.png"] = PNG
    stub.finish(ATTEMPT, answer)
    done = await checked(plug, ticket, request_)
    (made,) = done.outputs
    assert made.path.read_bytes() == PNG
    assert made.path.is_relative_to(request_.scratch)
    assert made.media_type == "image/png"
    assert done.cost_micros is None


async def test_check_when_several_were_made_then_keeps_their_order_and_facts(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    ticket = await started(plug, request_)
    jpeg = base64.b64encode(pictures.picture("jpeg")).decode()
    images = [
        {"base64": jpeg, "seed": 7, "facts": {"steps": 30}},
        {"base64": PNG_TEXT, "seed": 8},
    ]
    stub.finish(ATTEMPT, {"images": images, "timings": {"total_s": 2.5}, "model": "sdxl"})
    done = await checked(plug, ticket, request_)
    assert [made.media_type for made in done.outputs] == ["image/jpeg", "image/png"]
    assert [dict(made.facts) for made in done.outputs] == [{"steps": 30, "seed": 7}, {"seed": 8}]
    facts = {"timings": {"total_s": 2.5}, "model": "sdxl", "inference_id": ATTEMPT}
    assert done.facts == facts


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"images": []}, ProviderRejected),
        ({"images": [{"url": "https://elsewhere.example/x.png"}]}, ProviderRejected),
        ({"images": [PNG_TEXT] * 65}, ProviderRejected),
        ({"generated_image": [[[1, 2, 3]]]}, ProviderRejected),
        ({"error": {"code": "bad_input", "message": "too wide"}}, ProviderBadInput),
    ],
)
async def test_check_when_the_answer_holds_no_picture_then_is_a_verdict(
    stub: SageMaker,
    plug: SageMakerProvider,
    request_: ProviderRequest,
    answer: Any,
    error: type[SafelightError],
) -> None:
    ticket = await started(plug, request_)
    stub.finish(ATTEMPT, answer)
    assert type((await failed(plug, ticket, request_)).error) is error


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", MediaEmpty),
        (b"<!doctype html><h1>Sorry</h1>", ProviderError),
        (b"[1, 2]", ProviderError),
        ({"state": "failed"}, ProviderError),
        ({"images": ["%%%"]}, MediaTruncated),
        ({"images": [base64.b64encode(b"<html></html>").decode()]}, MediaUnsupported),
        ({"images": [{"s3": "s3://other/answers/x.png"}]}, ProviderRejected),
        ({"images": [{"s3": "s3://outputs/answers/../orders/x.png"}]}, ProviderRejected),
        ({"images": [{"s3": "s3://outputs/answers/missing.png"}]}, ProviderRejected),
    ],
)
async def test_check_when_the_answer_cannot_be_had_then_the_look_has_failed(
    stub: SageMaker,
    plug: SageMakerProvider,
    request_: ProviderRequest,
    answer: Any,
    error: type[SafelightError],
) -> None:
    ticket = await started(plug, request_)
    stub.finish(ATTEMPT, answer)
    with pytest.raises(SafelightError) as caught:
        await plug.check(ticket, request_, Handle())
    assert type(caught.value) is error


async def test_check_when_nothing_is_there_yet_then_waits_on(
    plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    ticket = await started(plug, request_)
    answer = await plug.check(ticket, request_, Handle())
    assert isinstance(answer, Pending)
    assert (answer.ticket, answer.stage) == (ticket, "queued or working at the endpoint")


@pytest.mark.parametrize(
    ("status", "instances", "stage"),
    [
        ("InService", 0, "waking the endpoint"),
        ("Updating", 0, "waking the endpoint"),
        ("Creating", 0, "waking the endpoint"),
        ("InService", 1, "queued or working at the endpoint"),
        ("Failed", 0, "the endpoint is out of service"),
    ],
)
async def test_check_when_the_endpoint_sleeps_or_works_then_says_so_and_asks_seldom(
    stub: SageMaker,
    plug: SageMakerProvider,
    request_: ProviderRequest,
    status: str,
    instances: int,
    stage: str,
) -> None:
    stub.endpoint_status, stub.instances = status, instances
    ticket = await started(plug, request_)
    for _ in range(3):
        answer = await plug.check(ticket, request_, Handle())
        assert isinstance(answer, Pending)
        seconds = 15 if stage == "waking the endpoint" else 2
        assert (answer.stage, answer.check_after) == (stage, timedelta(seconds=seconds))
    (call,) = stub.called("POST", "/")
    assert call.json == {"EndpointName": ENDPOINT}
    assert call.headers["x-amz-target"] == "SageMaker.DescribeEndpoint"
    assert is_signed(call, "not secret")


@pytest.mark.parametrize(
    "fault", [vendor.refuse(403, problem("AccessDeniedException")), vendor.hang, vendor.no_json]
)
async def test_check_when_the_endpoint_cannot_be_described_then_waits_all_the_same(
    stub: SageMaker, hasty: SageMakerProvider, request_: ProviderRequest, fault: Fault
) -> None:
    stub.fault("POST", "/", fault)
    ticket = await started(hasty, request_)
    for _ in range(2):
        answer = await hasty.check(ticket, request_, Handle())
        assert isinstance(answer, Pending)
        assert answer.stage == "in the endpoint's queue"
    assert len(stub.called("POST", "/")) == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (json.dumps({"error": {"code": "bad_input", "message": "no"}}), ProviderBadInput),
        (QUOTING % '{"error": {"code": "bad_input", "message": "no"}}', ProviderBadInput),
        (QUOTING % ESCAPED, ProviderRefused),
        (QUOTING % '{"error": {"code": "out_of_memory", "message": ""}}', ProviderWorkFailed),
        ("torch.OutOfMemoryError: CUDA out of memory", ProviderWorkFailed),
        ("The request has expired", ProviderWorkFailed),
        (QUOTING % '{"error": {', ProviderRejected),
        ("\x00\xff", ProviderRejected),
        ("", ProviderRejected),
    ],
)
async def test_check_when_the_request_failed_then_says_how(
    stub: SageMaker,
    plug: SageMakerProvider,
    request_: ProviderRequest,
    words: str,
    error: type[SafelightError],
) -> None:
    ticket = await started(plug, request_)
    stub.fail(ATTEMPT, words)
    verdict = (await failed(plug, ticket, request_)).error
    assert type(verdict) is error
    assert "123456789012" not in str(verdict.problem())
    assert "console.x" not in str(verdict.problem())
    if error is ProviderRefused:
        assert verdict.extra["categories"] == ["gore"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.refuse(403, "<Error><Code>AccessDenied</Code></Error>"), ProviderUnauthorized),
        (vendor.refuse(503, "<Error><Code>SlowDown</Code></Error>"), ProviderRateLimited),
        (vendor.refuse(500, b""), ProviderError),
        (vendor.cut, ProviderError),
        (vendor.cut_in_body, ProviderError),
        (vendor.garbage, ProviderError),
    ],
)
async def test_check_when_the_store_fails_then_says_how(
    stub: SageMaker,
    plug: SageMakerProvider,
    request_: ProviderRequest,
    fault: Fault,
    error: type[SafelightError],
) -> None:
    ticket = await started(plug, request_)
    stub.finish(ATTEMPT, {"images": [PNG_TEXT]})
    stub.fault("GET", OUTPUT_PATH, fault)
    with pytest.raises(SafelightError) as caught:
        await plug.check(ticket, request_, Handle())
    assert type(caught.value) is error
    assert (await checked(plug, ticket, request_)).outputs  # and the next look finds it


@pytest.mark.parametrize("fault", [vendor.hang, vendor.hang_in_body, vendor.drip(0.01)])
async def test_check_when_the_store_hangs_then_fails_in_time(
    stub: SageMaker, hasty: SageMakerProvider, request_: ProviderRequest, fault: Fault
) -> None:
    ticket = await started(hasty, request_)
    stub.finish(ATTEMPT, {"images": [PNG_TEXT]})
    stub.fault("GET", OUTPUT_PATH, fault)
    with pytest.raises(ProviderError) as caught:
        await hasty.check(ticket, request_, Handle())
    assert type(caught.value) is ProviderError


async def test_check_when_the_answer_is_huge_then_does_not_read_it(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    ticket = await started(plug, request_)
    stub.fault("GET", OUTPUT_PATH, vendor.claim(10**12, **OF_OBJECT))
    with pytest.raises(FetchTooLarge):
        await plug.check(ticket, request_, Handle())


async def test_check_when_the_ticket_is_of_an_earlier_version_then_no_clock_ends_it(
    plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    ticket = json.loads(await started(plug, request_)) | {"until": 1}
    assert isinstance(await plug.check(json.dumps(ticket), request_, Handle()), Pending)


async def test_check_when_another_process_asks_then_resumes_by_the_ticket(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    ticket = await started(plug, request_)
    stub.finish(ATTEMPT, PNG)
    async with opened(config_for(stub.url)) as second:
        assert (await checked(second, ticket, request_)).outputs
        assert (await checked(second, ticket, request_)).outputs  # and again, if that got lost


@pytest.mark.parametrize(
    "change",
    [
        {"output": "../orders/x.json"},
        {"output": "s3://other/x"},
        {"failure": "/x"},
        {"failure": ""},
        {"attempt": "../x"},
        {"endpoint": "a/b"},
        {"output": None},
    ],
)
async def test_check_when_the_ticket_was_tampered_with_then_is_refused(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest, change: dict[str, Any]
) -> None:
    ticket = json.loads(await started(plug, request_)) | change
    before = len(stub.calls)
    with pytest.raises(ProviderRejected):
        await plug.check(json.dumps(ticket), request_, Handle())
    with pytest.raises(ProviderRejected):
        await plug.cancel(json.dumps(ticket))
    assert len(stub.calls) == before


# --- canceling, and answers that were lost --------------------------------------------------------


async def test_cancel_when_it_waits_then_takes_its_input_away_and_confirms_nothing(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    ticket = await started(plug, request_)
    for _ in range(2):
        assert await plug.cancel(ticket) == Canceled(confirmed=False)
        assert INPUT not in stub.objects
    assert len(stub.cancels) == 1


@pytest.mark.parametrize("name", ["", "answer", "answer-error.out"])
async def test_cancel_when_it_has_ended_in_any_way_then_is_confirmed(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest, name: str
) -> None:
    ticket = await started(plug, request_)
    if name:
        stub.fail(ATTEMPT, "The input could not be read.", name)
    else:
        stub.finish(ATTEMPT, PNG)
    assert await plug.cancel(ticket) == Canceled()


async def test_look_up_when_the_answer_to_start_was_lost_then_finds_the_result(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    stub.fault("POST", INVOKE, vendor.lose_answer)
    with pytest.raises(UnknownOutcome):
        await plug.start(request_, Handle())
    assert await plug.look_up(lost(request_)) is None
    stub.finish(ATTEMPT, PNG)
    ticket = await plug.look_up(lost(request_))
    assert isinstance(ticket, str)
    assert (await checked(plug, ticket, request_)).outputs
    assert await plug.look_up(lost(request_, OTHER)) is None
    assert plug.adopts_within > timedelta(minutes=25)


async def test_look_up_when_the_request_failed_then_finds_that_whatever_it_is_called(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    stub.fail(ATTEMPT, "broken", name="answer-error.out")
    ticket = await plug.look_up(lost(request_))
    assert isinstance(ticket, str)
    assert "broken" in (await failed(plug, ticket, request_)).error.detail


async def test_look_up_when_only_parts_of_an_answer_are_there_then_finds_nothing(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    await plug.start(request_, Handle())
    stub.objects["outputs", f"answers/{ATTEMPT}/0.png"] = PNG
    assert await plug.look_up(lost(request_)) is None


@pytest.mark.parametrize("attempt_id", ["../x", "att_", "", "att_X/../y"])
async def test_look_up_when_the_id_is_none_then_does_not_look(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest, attempt_id: str
) -> None:
    assert await plug.look_up(lost(request_, attempt_id)) is None
    assert not stub.calls


async def test_look_up_when_the_store_is_away_then_says_so(
    stub: SageMaker, plug: SageMakerProvider, request_: ProviderRequest
) -> None:
    stub.fault("HEAD", OUTPUT_PATH, vendor.refuse(503))
    with pytest.raises(ProviderError):
        await plug.look_up(lost(request_))


# --- callbacks ------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(stub: SageMaker, sns: Sns) -> AsyncIterator[SageMakerProvider]:
    sns.visited.clear()
    async with opened(config_for(stub.url), sns) as plug:
        yield plug


async def test_callback_when_completed_then_names_attempt_and_ticket_and_settles_it(
    stub: SageMaker, sns: Sns, request_: ProviderRequest
) -> None:
    body = sns.signed(sns.notification(outcome(ATTEMPT, ENDPOINT)))
    async with listening(stub, sns) as plug:
        news = await plug.parse_callback(Callback({}, body))
        assert (news.attempt_id, news.is_proven) == (ATTEMPT, True)
        assert news.ticket is not None
        stub.finish(ATTEMPT, PNG)
        done = await plug.check(news.ticket, request_, Handle(news=body))
    assert isinstance(done, Done)
    assert [call.path for call in stub.calls] == [OUTPUT_PATH]


async def test_callback_when_failed_then_its_reason_is_the_error(
    stub: SageMaker, sns: Sns, request_: ProviderRequest
) -> None:
    told = outcome(ATTEMPT, ENDPOINT, failed="The request expired in the queue (TTL)")
    body = sns.signed(sns.notification(told))
    async with listening(stub, sns) as plug:
        news = await plug.parse_callback(Callback({}, body, ATTEMPT))
        assert news.ticket is not None
        verdict = await plug.check(news.ticket, request_, Handle(news=body))
    assert isinstance(verdict, Failed)
    assert isinstance(verdict.error, ProviderWorkFailed)
    assert "expired" in verdict.error.detail


async def test_check_when_the_notice_is_ahead_of_the_store_then_looks_again(
    stub: SageMaker, sns: Sns, request_: ProviderRequest
) -> None:
    body = sns.signed(sns.notification(outcome(ATTEMPT, ENDPOINT)))
    async with listening(stub, sns) as plug:
        ticket = await started(plug, request_)
        with pytest.raises(ProviderError) as caught:
            await plug.check(ticket, request_, Handle(news=body))
    assert type(caught.value) is ProviderError


async def test_check_when_the_notice_is_of_another_attempt_then_is_not_believed(
    stub: SageMaker, sns: Sns, request_: ProviderRequest
) -> None:
    body = sns.signed(sns.notification(outcome(OTHER, ENDPOINT, failed="no")))
    async with listening(stub, sns) as plug:
        ticket = await started(plug, request_)
        assert isinstance(await plug.check(ticket, request_, Handle(news=body)), Pending)


async def test_callback_when_it_asks_for_confirmation_then_confirms(
    stub: SageMaker, sns: Sns
) -> None:
    envelope = sns.confirmation()
    async with listening(stub, sns) as plug:
        news = await plug.parse_callback(Callback({}, sns.signed(envelope)))
    assert (news.attempt_id, news.ticket) == (None, None)
    assert sns.visited == [envelope["SigningCertURL"], envelope["SubscribeURL"]]


async def test_callback_when_the_confirmation_fails_then_sns_will_ask_again(
    stub: SageMaker, sns: Sns
) -> None:
    async def away(url: str) -> bytes:
        if url.endswith(".pem"):
            return sns.pem
        raise FetchError("away")

    keys = StaticCredentials(Keys("a", "b"))
    async with unused_fetcher() as fetcher:
        config = config_for(stub.url)
        async with SageMakerProvider(config, keys, fetcher, (MODEL,), visit=away) as plug:
            with pytest.raises(FetchError):
                await plug.parse_callback(Callback({}, sns.signed(sns.confirmation())))


@pytest.mark.parametrize(
    "told",
    [
        outcome(ATTEMPT, "someone-elses"),
        outcome("7c1d-of-another-program", ENDPOINT),
        {"Records": []},
        "plain words",
    ],
)
async def test_callback_when_it_is_none_of_ours_then_is_about_nothing(
    stub: SageMaker, sns: Sns, told: Any
) -> None:
    async with listening(stub, sns) as plug:
        news = await plug.parse_callback(Callback({}, sns.signed(sns.notification(told))))
    assert (news.attempt_id, news.ticket, news.is_proven) == (None, None, False)


async def test_callback_when_the_output_lies_elsewhere_then_its_address_is_not_believed(
    stub: SageMaker, sns: Sns
) -> None:
    elsewhere = {"outputLocation": "s3://elsewhere/x"}
    told = outcome(ATTEMPT, ENDPOINT, responseParameters=elsewhere)
    async with listening(stub, sns) as plug:
        news = await plug.parse_callback(Callback({}, sns.signed(sns.notification(told))))
    assert news.ticket is not None
    assert "elsewhere" not in news.ticket


async def test_callback_when_at_the_address_of_another_attempt_then_is_refused(
    stub: SageMaker, sns: Sns
) -> None:
    body = sns.signed(sns.notification(outcome(ATTEMPT, ENDPOINT)))
    async with listening(stub, sns) as plug:
        with pytest.raises(Forbidden):
            await plug.parse_callback(Callback({}, body, OTHER))


# --- opening --------------------------------------------------------------------------------------


async def test_capabilities_when_asked_then_are_fit_for_a_form(plug: SageMakerProvider) -> None:
    (model,) = plug.capabilities()
    assert (model.provider, model.vendor_id, model.repeatable) == ("sagemaker", ENDPOINT, False)
    assert model.params_schema["additionalProperties"] is False
    jsonschema_rs.validator_for(dict(model.params_schema))
    for field in model.params_schema["properties"].values():
        assert field["title"]
        assert field["description"]


async def test_open_when_keys_are_in_the_settings_then_signs_with_them(
    stub: SageMaker, request_: ProviderRequest
) -> None:
    config = config_for(stub.url, access_key_id="AKIDOTHER", secret_access_key="x")  # noqa: S106
    async with unused_fetcher() as fetcher, open_sagemaker(config, fetcher, (MODEL,)) as plug:
        await plug.start(request_, Handle())
    assert "Credential=AKIDOTHER/" in stub.called("POST", INVOKE)[0].headers["authorization"]
    assert "Credential=AKIDOTHER/" in stub.called("PUT", r"/inputs/.*")[0].headers["authorization"]


async def test_credentials_when_the_environment_has_them_then_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in brokers.AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert await AmbientCredentials().keys() == Keys("test", "test")


async def test_start_when_there_are_no_credentials_then_says_so(
    monkeypatch: pytest.MonkeyPatch, stub: SageMaker, request_: ProviderRequest, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    async with unused_fetcher() as fetcher:
        config = config_for(stub.url)
        async with SageMakerProvider(config, AmbientCredentials(), fetcher, (MODEL,)) as plug:
            with pytest.raises(ProviderUnauthorized):
                await plug.start(request_, Handle())
    assert not stub.calls


async def test_open_when_the_library_is_missing_then_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, stub: SageMaker
) -> None:
    monkeypatch.setitem(sys.modules, "safelight.providers.remote.sagemaker.credentials", None)
    async with unused_fetcher() as fetcher:
        with pytest.raises(SettingInvalid, match="needs the extra `sagemaker`"):
            open_sagemaker(config_for(stub.url), fetcher)


# --- verification ---------------------------------------------------------------------------------


async def test_verify_when_all_places_can_be_used_says_so_and_wakes_nobody(
    stub: SageMaker, plug: SageMakerProvider
) -> None:
    assert await plug.verify() == (
        "the three S3 locations are accessible; endpoints are not checked"
    )
    assert stub.called("POST", ".*") == []


async def test_verify_when_a_place_cannot_be_used_says_so(
    stub: SageMaker, plug: SageMakerProvider
) -> None:
    stub.fault("HEAD", "/outputs.*", vendor.refuse(403))
    with pytest.raises(ProviderUnauthorized):
        await plug.verify()


# --- against moto, which somebody else wrote ------------------------------------------------------


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = brokers.sqs(tmp_path_factory.mktemp("moto"))
    with brokers.running(server):
        yield f"http://127.0.0.1:{server.port}"


async def places_of_moto(
    url: str, request: ProviderRequest, answer: dict[str, Any]
) -> SageMakerConfig:
    """Have moto answer the next request so, in a bucket that it chooses by repeatable chance."""
    await asyncio.to_thread(_begin_anew, url, answer)
    async with opened(config_for(url)) as plug:
        with pytest.raises(UnknownOutcome, match="another S3 location"):
            await plug.start(request, Handle())
    buckets = await asyncio.to_thread(_s3(url).list_buckets)
    (chosen,) = (each["Name"] for each in buckets["Buckets"] if each["Name"] != "inputs")
    await asyncio.to_thread(_begin_anew, url, answer)
    return config_for(url, outputs=S3Place(chosen), failures=S3Place(chosen))


def _begin_anew(url: str, answer: dict[str, Any]) -> None:
    results = {"account_id": "123456789012", "region": REGION, "results": [answer]}
    with httpx2.Client(base_url=url) as http:
        http.post("/moto-api/reset")
        http.post("/moto-api/static/sagemaker/async-endpoint-results", json=results)
        here = {"LocationConstraint": REGION}
        _s3(url).create_bucket(Bucket="inputs", CreateBucketConfiguration=here)
        http.post("/moto-api/seed?a=42")


def _s3(url: str) -> Any:
    return boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  of nothing
    )


async def test_moto_when_it_answers_then_the_picture_comes_home(
    moto: str, request_: ProviderRequest
) -> None:
    config = await places_of_moto(moto, request_, {"data": json.dumps({"images": [PNG_TEXT]})})
    async with opened(config) as plug:
        ticket = await started(plug, request_)
        (made,) = (await checked(plug, ticket, request_)).outputs
        assert (await plug.cancel(ticket)).confirmed
        assert await plug.look_up(lost(request_)) is None  # moto heeds no names for outputs
    assert made.path.read_bytes() == PNG


async def test_moto_when_the_request_fails_then_says_so(
    moto: str, request_: ProviderRequest
) -> None:
    config = await places_of_moto(moto, request_, {"is_failure": True, "data": "the model broke"})
    async with opened(config) as plug:
        ticket = await started(plug, request_)
        assert "the model broke" in (await failed(plug, ticket, request_)).error.detail

"""The plug for OpenAI, with every answer that its API or the network may give."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from safelight.errors import SafelightError, StorageFull
from safelight.fetch import Fetcher, FetchPolicy
from safelight.jobs.params import complete_params
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRejected,
    ProviderUnauthorized,
    UnknownOutcome,
)
from safelight.providers.price import Price, Tokens, Usage
from safelight.providers.provider import (
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
from safelight.providers.remote.openai import MODELS, OpenAiConfig, OpenAiProvider, image_model
from tests import pictures
from tests.stubs import openai as stub
from tests.stubs import vendor
from tests.stubs.openai import EDITS, GENERATIONS, OpenAiStub

MODEL = "openai/gpt-image-2"
USED = Usage(text_input_tokens=10, image_input_tokens=100, output_tokens=4000)


class Handle:
    """An attempt that remembers what was reported."""

    id = "att_test"
    callback_url: str | None = None
    news: bytes | None = None

    def __init__(self) -> None:
        self.heard: list[tuple[float, str]] = []
        self.seen: list[Path] = []

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        self.heard.append((progress, stage))
        self.seen += [picture] if picture else []


@pytest.fixture
async def server() -> AsyncIterator[OpenAiStub]:
    async with OpenAiStub(pictures.picture("png")).open() as running:
        yield running


@pytest.fixture
async def fetcher(server: OpenAiStub) -> AsyncIterator[Fetcher]:
    policy = FetchPolicy(allow_private=True, ports=frozenset({server.port}))
    async with Fetcher(policy) as opened:
        yield opened


@pytest.fixture
def config(server: OpenAiStub) -> OpenAiConfig:
    return OpenAiConfig("sk-test", server.base_url, call_s=5.0)


def order(tmp_path: Path, *inputs: InputFile, model: str = MODEL, **params: Any) -> ProviderRequest:
    schema = next((known for known in MODELS if known.id == model), MODELS[0])
    kind = Kind.IMAGE_TO_IMAGE if inputs else Kind.TEXT_TO_IMAGE
    complete = complete_params(schema, params) if model in {m.id for m in MODELS} else params
    return ProviderRequest(kind, model, "a red cat", complete, inputs, tmp_path / "scratch")


def reference(
    tmp_path: Path, name: str = "cat.png", role: Role = Role.REFERENCE, form: str = "png"
) -> InputFile:
    path = tmp_path / name
    path.write_bytes(pictures.picture(form))
    return InputFile(path, f"image/{form}", name, role)


async def make(
    config: OpenAiConfig, fetcher: Fetcher, request: ProviderRequest, handle: Handle | None = None
) -> Done:
    async with OpenAiProvider(config, fetcher) as plug:
        answer = await plug.start(request, handle or Handle())
    assert isinstance(answer, Done)
    return answer


async def failed(config: OpenAiConfig, fetcher: Fetcher, request: ProviderRequest) -> Failed:
    async with OpenAiProvider(config, fetcher) as plug:
        answer = await plug.start(request, Handle())
    assert isinstance(answer, Failed)
    return answer


# --- what is made -------------------------------------------------------------------------------


async def test_start_when_text_is_given_keeps_the_streamed_picture(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    made = await make(config, fetcher, order(tmp_path, quality="low", format="png"))
    assert [output.path.read_bytes() for output in made.outputs] == [server.picture]
    assert made.outputs[0].media_type == "image/png"
    assert made.outputs[0].facts["quality"] == "low"
    assert made.facts == {"request_id": "req_stub", "usage": stub.USAGE}
    assert made.cost_micros is None
    asked = server.asked[0]
    assert asked.path == GENERATIONS
    assert asked.fields == {
        "model": "gpt-image-2",
        "prompt": "a red cat",
        "n": 1,
        "quality": "low",
        "output_format": "png",
        "stream": True,
        "partial_images": 0,
    }
    headers = server.calls[0].headers
    assert headers["authorization"] == "Bearer sk-test"
    assert headers["idempotency-key"] == "att_test"
    assert "openai-organization" not in headers


async def test_start_when_the_server_is_told_more_sends_its_headers(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    own = replace(config, organization="org_1", project="proj_1", headers={"api-key": "azure"})
    await make(own, fetcher, order(tmp_path))
    headers = server.calls[0].headers
    told = (headers["openai-organization"], headers["openai-project"], headers["api-key"])
    assert told == ("org_1", "proj_1", "azure")


async def test_start_when_partial_images_are_wanted_reports_each(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    handle = Handle()
    await make(config, fetcher, order(tmp_path, partial_images=2), handle)
    assert [path.read_bytes() for path in handle.seen] == [server.picture] * 2
    assert [stage for _, stage in handle.heard[1:]] == [
        "partial image 1 of 2",
        "partial image 2 of 2",
    ]
    assert [round(percent) for percent, _ in handle.heard] == [0, 33, 67]


async def test_start_when_partial_images_of_several_are_wanted_refuses_before_it_pays(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    for changes, number in ((config, 2), (replace(config, stream=False), 1)):
        with pytest.raises(ProviderBadInput, match="Partial pictures"):
            await make(changes, fetcher, order(tmp_path, partial_images=1, n=number))
    assert server.posts == 0


async def test_start_when_a_partial_image_is_damaged_goes_on_without_it(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.rough = b"no picture"
    handle = Handle()
    made = await make(config, fetcher, order(tmp_path, partial_images=3), handle)
    assert (len(handle.heard), handle.seen) == (4, [])
    assert made.outputs[0].path.read_bytes() == server.picture


async def test_start_when_the_stream_comes_byte_by_byte_keeps_the_picture(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.say(vendor.drip(0))
    made = await make(config, fetcher, order(tmp_path))
    assert made.outputs[0].path.read_bytes() == server.picture


async def test_start_when_the_server_does_not_stream_takes_its_plain_answer(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.streams = False
    made = await make(config, fetcher, order(tmp_path))
    assert made.outputs[0].path.read_bytes() == server.picture
    assert made.outputs[0].facts["revised_prompt"] == "revised 0"


async def test_start_when_several_are_wanted_asks_plainly_and_keeps_their_order(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    made = await make(config, fetcher, order(tmp_path, n=3))
    assert [output.facts["revised_prompt"] for output in made.outputs] == [
        "revised 0",
        "revised 1",
        "revised 2",
    ]
    assert len({output.path for output in made.outputs}) == 3
    assert "stream" not in server.asked[0].fields


@pytest.mark.parametrize("count", [1, 3])
async def test_start_when_the_answer_names_addresses_leaves_them_to_any_process(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path, count: int
) -> None:
    server.streams, server.gives_addresses = False, True
    request = order(tmp_path, n=count)
    async with OpenAiProvider(config, fetcher) as plug:
        answer = await plug.start(request, Handle())
    assert isinstance(answer, Pending)
    assert answer.check_after == timedelta()
    assert server.called("GET", ".*") == []
    async with OpenAiProvider(config, fetcher) as other:
        assert await other.cancel(answer.ticket) == Canceled(usage=USED)
        done = await other.check(answer.ticket, request, Handle())
    assert isinstance(done, Done)
    assert [output.path.read_bytes() for output in done.outputs] == [server.picture] * count
    assert not any(output.source_url for output in done.outputs)
    assert done.usage == USED
    assert done.facts["request_id"] == "req_stub"
    assert [told["revised_prompt"] for told in done.facts["pictures"]] == [
        f"revised {number}" for number in range(count)
    ]
    assert server.posts == 1


@pytest.mark.parametrize("fault", [vendor.html, vendor.refuse(404), vendor.refuse(403), vendor.cut])
async def test_check_when_the_picture_cannot_be_fetched_may_be_tried_again(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    fault: vendor.Fault,
) -> None:
    server.streams, server.gives_addresses = False, True
    request = order(tmp_path)
    server.fault("GET", ".*", fault)
    async with OpenAiProvider(config, fetcher) as plug:
        answer = await plug.start(request, Handle())
        assert isinstance(answer, Pending)
        with pytest.raises(SafelightError):
            await plug.check(answer.ticket, request, Handle())
        assert isinstance(await plug.check(answer.ticket, request, Handle()), Done)
    assert server.posts == 1


def addressed(server: OpenAiStub, *, long: bool) -> dict[str, Any]:
    """Return an answer of one picture by an address, which may be too long to be noted."""
    query = "?" + "x" * 3000 if long else ""
    return {"created": 1, "data": [{"url": f"{server.url}/made.png{query}"}], "usage": stub.USAGE}


async def test_start_when_an_address_cannot_be_noted_fetches_it_at_once(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.say(vendor.refuse(200, addressed(server, long=True)))
    made = await make(config, fetcher, order(tmp_path))
    assert made.outputs[0].path.read_bytes() == server.picture
    server.say(vendor.refuse(200, addressed(server, long=True)))
    server.fault("GET", ".*", vendor.refuse(500))
    with pytest.raises(UnknownOutcome, match="could not be downloaded"):
        await make(config, fetcher, order(tmp_path))


async def test_start_when_pictures_come_both_ways_keeps_what_is_there(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    spelled = stub.spelled(server.picture)
    body = {"data": [spelled, *addressed(server, long=False)["data"]]}
    server.say(vendor.refuse(200, body))
    assert len((await make(config, fetcher, order(tmp_path, n=2))).outputs) == 2
    server.say(vendor.refuse(200, body))
    server.fault("GET", ".*", vendor.refuse(500))
    made = await make(config, fetcher, order(tmp_path, n=2))
    assert len(made.outputs) == 1
    assert made.facts["incomplete"]


async def test_start_when_there_is_no_room_for_an_answer_pays_for_none(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    with pytest.raises(StorageFull):
        await make(replace(config, max_answer_bytes=2**62), fetcher, order(tmp_path))
    assert server.calls == []


async def test_start_when_one_reference_is_given_sends_a_form_with_one_image(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    source = reference(tmp_path)
    await make(config, fetcher, order(tmp_path, source, input_fidelity="high"))
    asked = server.asked[0]
    assert asked.path == EDITS
    assert [(file.field, file.name) for file in asked.files] == [("image", "image-0.png")]
    assert asked.files[0].content == source.path.read_bytes()
    assert asked.fields["prompt"] == "a red cat"
    assert asked.fields["n"] == "1"
    assert asked.fields["stream"] == "true"
    assert asked.fields["input_fidelity"] == "high"


async def test_start_when_several_references_and_a_mask_are_given_names_each(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    first = reference(tmp_path)
    mask = reference(tmp_path, "mask.png", Role.MASK)
    second = reference(tmp_path, "dog.jpg", form="jpeg")
    await make(config, fetcher, order(tmp_path, first, mask, second))
    assert [(file.field, file.media_type) for file in server.asked[0].files] == [
        ("image[]", "image/png"),
        ("image[]", "image/jpeg"),
        ("mask", "image/png"),
    ]


async def test_start_when_the_model_is_of_another_server_sends_its_params_as_they_are(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    own = image_model("flux", "Flux", provider="local")
    params = complete_params(own, {"quality": "crisp", "response_format": "b64_json"})
    request = ProviderRequest(Kind.TEXT_TO_IMAGE, own.id, "a cat", params, (), tmp_path / "scratch")
    local = replace(config, api_key="", name="local", stream=False)
    async with OpenAiProvider(local, fetcher, (own,)) as plug:
        assert [model.provider for model in plug.capabilities()] == [plug.name]
        made = await plug.start(request, Handle())
    assert isinstance(made, Done)
    assert server.asked[0].fields == {"model": "flux", "prompt": "a cat", **params}
    assert "authorization" not in server.calls[0].headers


# --- what it costs ------------------------------------------------------------------------------


async def test_usage_when_tokens_are_told_is_passed_on_and_prices_the_job(
    config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    made = await make(config, fetcher, order(tmp_path))
    assert made.usage == USED
    price = Price(tokens=Tokens(text_input=5, image_input=8, output=30))
    assert price.micros({}, 1, made.usage) == 10 * 5 + 100 * 8 + 4000 * 30


@pytest.mark.parametrize("usage", [None, {"input_tokens": 10, "output_tokens": 20}, {"x": "y"}])
async def test_usage_when_it_is_not_told_in_full_leaves_the_cost_unknown(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    usage: dict[str, Any] | None,
) -> None:
    server.usage = usage
    made = await make(config, fetcher, order(tmp_path))
    assert made.cost_micros is None
    assert Price(tokens=Tokens(5, 8, 30)).micros({}, 1, made.usage) is None


# --- what is refused before anything is sent ----------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"size": "1000x1000"},
        {"size": "4096x1024"},
        {"size": "3840x3840"},
        {"size": "2048x512"},
        {"size": "2048x2048", "n": 10},
    ],
)
async def test_start_when_the_size_cannot_be_had_sends_nothing(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    params: dict[str, Any],
) -> None:
    with pytest.raises(ProviderBadInput):
        await make(config, fetcher, order(tmp_path, **params))
    assert server.calls == []


@pytest.mark.parametrize("size", ["auto", "1024x1024", "3840x2160", "2160x3840", "3072x1024"])
async def test_start_when_the_size_is_good_asks_for_it(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path, size: str
) -> None:
    await make(config, fetcher, order(tmp_path, size=size))
    assert server.asked[0].fields["size"] == size


async def test_start_when_the_inputs_cannot_be_taken_sends_nothing(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    large = reference(tmp_path, "large.png")
    with large.path.open("r+b") as file:
        file.truncate(50_000_000)
    masks = [reference(tmp_path, f"mask-{place}.png", Role.MASK) for place in range(2)]
    wrong = [
        (reference(tmp_path, "a.gif", form="gif"),),
        (large,),
        (masks[0],),
        (reference(tmp_path), *masks),
    ]
    for inputs in wrong:
        with pytest.raises(ProviderBadInput):
            await make(config, fetcher, order(tmp_path, *inputs))
    with pytest.raises(ProviderRejected):
        await make(config, fetcher, order(tmp_path, model="openai/none"))
    assert server.calls == []


# --- what goes wrong ----------------------------------------------------------------------------

REFUSALS: list[tuple[int, str, type[SafelightError]]] = [
    (400, "moderation_blocked", ProviderRefused),
    (400, "content_policy_violation", ProviderRefused),
    (400, "invalid_value", ProviderBadInput),
    (400, "billing_hard_limit_reached", ProviderOutOfCredit),
    (401, "invalid_api_key", ProviderUnauthorized),
    (403, "unsupported_country_region_territory", ProviderUnauthorized),
    (404, "model_not_found", ProviderRejected),
    (413, "too_large", ProviderBadInput),
    (429, "insufficient_quota", ProviderOutOfCredit),
    (429, "billing_hard_limit_reached", ProviderOutOfCredit),
    (429, "rate_limit_exceeded", ProviderRateLimited),
    (429, "slow_down", ProviderRateLimited),
    (500, "server_error", ProviderError),
    (503, "server_error", ProviderError),
    (502, "server_error", UnknownOutcome),
    (504, "server_error", UnknownOutcome),
]


@pytest.mark.parametrize("case", REFUSALS)
async def test_start_when_openai_refuses_names_why_and_asks_once(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    case: tuple[int, str, type[SafelightError]],
) -> None:
    status, code, expected = case
    server.complain(status, code, "a clear reason")
    with pytest.raises(SafelightError) as raised:
        await make(config, fetcher, order(tmp_path))
    assert type(raised.value) is expected
    assert "a clear reason" in raised.value.detail
    assert server.posts == 1


async def test_start_when_moderation_refuses_tells_its_categories(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.complain(
        400, "moderation_blocked", "Rejected. safety_violations=[violence, 'self-harm']."
    )
    with pytest.raises(ProviderRefused) as raised:
        await make(config, fetcher, order(tmp_path))
    assert raised.value.extra["categories"] == ["violence", "self-harm"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "7", "Retry_After_Ms": "1500"}, 1.5),
        ({"Retry_After_Ms": "soon", "Retry_After": "3"}, 3),
        ({"X_RateLimit_Reset_Requests": "6m0s"}, 360),
        ({"X_RateLimit_Reset_Requests": "20ms", "X_RateLimit_Reset_Tokens": "1m"}, 0.02),
        (
            {
                "X_RateLimit_Reset_Requests": "2s",
                "X_RateLimit_Reset_Tokens": "1m30s",
                "X_RateLimit_Remaining_Tokens": "0",
            },
            90,
        ),
        ({"X_RateLimit_Reset_Requests": "whenever"}, None),
    ],
)
async def test_start_when_the_rate_is_limited_tells_how_long(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    headers: dict[str, str],
    seconds: float | None,
) -> None:
    server.complain(429, "rate_limit_exceeded", **headers)
    with pytest.raises(ProviderRateLimited) as raised:
        await make(config, fetcher, order(tmp_path))
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert raised.value.retry_after == expected


LOST = {
    "silence": vendor.hang,
    "headers only": vendor.hang_after_headers,
    "half a body": vendor.hang_in_body,
    "cut": vendor.cut,
    "work done and cut": vendor.lose_answer,
    "cut in the body": vendor.cut_in_body,
    "no HTTP": vendor.garbage,
    "no JSON": vendor.no_json,
    "a page": vendor.html,
    "no end": vendor.endless,
    "slow": vendor.drip(0.2),
    "a gateway": vendor.refuse(502),
    "a gateway's patience": vendor.refuse(504, "<h1>Timeout</h1>"),
    "a page of a 500": vendor.refuse(500, "<h1>Sorry</h1>"),
}


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_start_when_the_answer_is_lost_says_so_and_asks_once(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    fault: vendor.Fault,
    streams: bool,
) -> None:
    server.streams = streams
    server.say(fault)
    hasty = replace(config, call_s=0.5, max_answer_bytes=200_000)
    with pytest.raises(UnknownOutcome):
        await make(hasty, fetcher, order(tmp_path))
    assert server.posts == 1


async def test_start_when_nobody_listens_says_that_nothing_was_begun(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        config = OpenAiConfig("sk-test", f"http://127.0.0.1:{port}/v1")
        with pytest.raises(ProviderError) as raised:
            await make(config, fetcher, order(tmp_path))
    assert type(raised.value) is ProviderError


STREAMS: dict[str, tuple[str, type[SafelightError]]] = {
    "moderation": (stub.frame("error", stub.error("moderation_blocked")), ProviderRefused),
    "no credit": (stub.frame("error", stub.error("insufficient_quota")), ProviderOutOfCredit),
    "too fast": (stub.frame("error", stub.error("rate_limit_exceeded")), ProviderRateLimited),
    "a bug": (stub.frame("error", stub.error("x", kind="server_error")), ProviderError),
    "bad input": (
        stub.frame("error", stub.error("x", kind="image_generation_user_error")),
        ProviderBadInput,
    ),
    "who knows": (stub.frame("error", stub.error("novel")), ProviderRejected),
    "words": ('data: {"error": "It broke."}\n\n', ProviderRejected),
    "damage": ('data: {"type": "x.completed", "b64_json": "A"}\n\n', ProviderRejected),
    "a text": ('data: {"type": "x.completed", "b64_json": "aGVsbG8="}\n\n', ProviderRejected),
    "emptiness": ('data: {"type": "x.completed"}\n\n', ProviderRejected),
}


@pytest.mark.parametrize(("text", "expected"), STREAMS.values(), ids=STREAMS.keys())
async def test_start_when_the_stream_holds_no_picture_is_a_verdict(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    text: str,
    expected: type[SafelightError],
) -> None:
    server.say(vendor.refuse(200, text, Content_Type="text/event-stream"))
    verdict = await failed(config, fetcher, order(tmp_path))
    assert type(verdict.error) is expected
    assert verdict.cost_micros is None
    assert server.posts == 1


@pytest.mark.parametrize(
    "text", ["data: [DONE]\n\n", ": keepalive\n\n", "data: {nonsense\n\n", "data: []\n\n"]
)
async def test_start_when_the_stream_cannot_be_read_does_not_know_the_outcome(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path, text: str
) -> None:
    server.say(vendor.refuse(200, text, Content_Type="text/event-stream"))
    with pytest.raises(UnknownOutcome):
        await make(config, fetcher, order(tmp_path))
    assert server.posts == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (stub.error("moderation_blocked"), ProviderRefused),
        ({"created": 1}, ProviderRejected),
        ({"created": 1, "data": []}, ProviderRejected),
        ({"data": [{"revised_prompt": "x"}]}, ProviderRejected),
        ({"data": [{"b64_json": "damaged"}]}, ProviderRejected),
    ],
)
async def test_start_when_the_plain_answer_holds_no_picture_is_a_verdict_and_tells_its_cost(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    body: dict[str, Any],
    expected: type[SafelightError],
) -> None:
    server.say(vendor.refuse(200, body | {"usage": stub.USAGE}))
    verdict = await failed(config, fetcher, order(tmp_path))
    assert type(verdict.error) is expected
    assert (verdict.usage, verdict.cost_micros) == (USED, None)


async def test_start_when_the_plain_answer_is_no_object_does_not_know_the_outcome(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.say(vendor.refuse(200, []))
    with pytest.raises(UnknownOutcome):
        await make(config, fetcher, order(tmp_path))


def _lines(text: str) -> str:
    return "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76)) + "\n"


def _url_safe(text: str) -> str:
    return text.replace("+", "-").replace("/", "_").rstrip("=")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "data URL": lambda text: f"data:image/png;base64,{text}",
    "data URL in capitals": lambda text: f"Data:image/png;charset=utf-8;BASE64,{text}",
    "escaped data URL": lambda text: f"data:image/png;base64,{quote(text)}",
    "line breaks": _lines,
    "URL-safe letters without padding": _url_safe,
    "all": lambda text: f" data:;base64,{_lines(_url_safe(text))}",
}


@pytest.mark.parametrize(
    ("member", "spelling"),
    [
        *(("b64_json", name) for name in SPELLINGS),
        *(("url", name) for name in SPELLINGS if "data URL" in name),
    ],
)
async def test_start_when_base64_is_written_otherwise_keeps_what_is_paid(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    member: str,
    spelling: str,
) -> None:
    picture = server.picture + b"\xfb\xff\xbf"  # both letters that differ
    text = SPELLINGS[spelling](base64.b64encode(picture).decode())
    server.say(vendor.refuse(200, {"data": [{member: text}]}))
    made = await make(config, fetcher, order(tmp_path, n=2))
    assert made.outputs[0].path.read_bytes() == picture


@pytest.mark.parametrize(
    "shape",
    [
        '{"images": [{"b64_json": "PICTURE"}]}',
        '{"images": ["PICTURE"]}',
        '{"data": {"b64_json": "PICTURE", "url": null}}',
        '{"b64_json": "PICTURE"}',
        '\ufeff{"data": [{"b64_json": "PICTURE"}]}',
        '{"data": [{"b64_json": "PICTURE", "revised_prompt": "cut \\ud83d", "score": NaN}]}',
        '{"data": [{"b64_json": "PICTURE", "revised_prompt": "tab\there", "seed": 1e999}]}',
        '{"data": [null, 3, {"b64_json": "PICTURE", "revised_prompt": 7}], "usage": []}',
        'data: {"data": [{"b64_json": "PICTURE"}]}\n\ndata: [DONE]\n\n',
        'event: x.completed\ndata: {"type": "x.completed", "b64_json": "PICTURE"}\n\n',
    ],
)
@pytest.mark.parametrize("media_type", ["application/json", "Text/Plain", ""])
async def test_start_when_the_answer_has_a_surprising_shape_keeps_what_is_paid(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    shape: str,
    media_type: str,
) -> None:
    text = shape.replace("PICTURE", base64.b64encode(server.picture).decode())
    server.say(vendor.refuse(200, text, Content_Type=media_type))
    made = await make(config, fetcher, order(tmp_path))
    assert [output.path.read_bytes() for output in made.outputs] == [server.picture]


@pytest.mark.parametrize("asked", ["svg", "SVG", "image/svg+xml", "application/pdf", ".bmp"])
@pytest.mark.parametrize("name", ["output_format", "format"])
async def test_start_when_the_format_cannot_be_kept_sends_nothing(
    server: OpenAiStub,
    config: OpenAiConfig,
    fetcher: Fetcher,
    tmp_path: Path,
    name: str,
    asked: str,
) -> None:
    request = replace(order(tmp_path), params={name: asked})
    with pytest.raises(ProviderBadInput, match="cannot be stored"):
        await make(config, fetcher, request)
    assert server.posts == 0


async def test_start_when_only_some_pictures_come_keeps_what_is_paid(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    body = {"data": [stub.spelled(server.picture), {"b64_json": "dam!ged"}]}
    server.say(vendor.refuse(200, body))
    made = await make(config, fetcher, order(tmp_path, n=2))
    assert [output.path.read_bytes() for output in made.outputs] == [server.picture]
    assert "base64" in made.facts["incomplete"]


async def test_start_when_the_server_does_not_hang_up_is_done_with_the_picture(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    text = stub.stream("image_generation", server.picture, [], None).encode()

    async def linger(writer: Any, work: vendor.Work) -> None:
        reply = vendor.Reply(200, text, {"Content-Type": "text/event-stream"})
        writer.write(reply.head(len(text) + 1) + text)
        await vendor.hang(writer, work)

    server.say(linger)
    made = await make(config, fetcher, order(tmp_path))
    assert len(made.outputs) == 1


@pytest.mark.parametrize(("silent_s", "is_made"), [(590, True), (610, False)])
async def test_start_when_the_server_is_silent_waits_for_as_long_as_the_call_may_take(
    server: OpenAiStub,
    fetcher: Fetcher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    silent_s: float,
    is_made: bool,
) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time

    async def silent(writer: asyncio.StreamWriter, work: vendor.Work) -> None:
        monkeypatch.setattr(loop, "time", lambda: now() + silent_s)
        for _ in range(5):  # whatever is due by then happens
            await asyncio.sleep(0)
        reply = work()
        writer.write(reply.head(len(reply.content)) + reply.content)

    server.say(silent)
    config = OpenAiConfig("sk-test", server.base_url, call_s=600.0)
    with nullcontext() if is_made else pytest.raises(UnknownOutcome):
        assert (await make(config, fetcher, order(tmp_path))).outputs
    assert len(server.calls) == 1


# --- what cannot be had later -------------------------------------------------------------------


async def test_check_and_cancel_when_the_ticket_is_none_ask_nobody(
    server: OpenAiStub, config: OpenAiConfig, fetcher: Fetcher, tmp_path: Path
) -> None:
    async with OpenAiProvider(config, fetcher) as plug:
        with pytest.raises(ProviderRejected):
            await plug.check("anything", order(tmp_path), Handle())
        with pytest.raises(ProviderRejected):
            await plug.cancel("anything")
        start = LostStart("att_test", datetime.now(UTC), order(tmp_path))
        assert await plug.look_up(start) is None
    assert server.calls == []


# --- verification -------------------------------------------------------------------------------


async def test_verify_when_the_key_is_good_tells_which_models_are_missing_and_costs_nothing(
    config: OpenAiConfig, fetcher: Fetcher, server: OpenAiStub
) -> None:
    known = [model.vendor_id for model in MODELS]
    server.route(
        "GET", "/v1/models", lambda _: vendor.Reply(200, {"data": [{"id": n} for n in known[1:]]})
    )
    async with OpenAiProvider(config, fetcher) as plug:
        found = await plug.verify()
    assert (
        found == f"the key gives access to {len(known) - 1} models; not among them: {MODELS[0].id}"
    )
    assert server.posts == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.refuse(401, {"error": {"code": "invalid_api_key"}}), ProviderUnauthorized),
        (vendor.refuse(500), ProviderError),
        (vendor.cut, ProviderError),
    ],
)
async def test_verify_when_it_is_not_let_in_says_so(
    config: OpenAiConfig,
    fetcher: Fetcher,
    server: OpenAiStub,
    fault: vendor.Fault,
    error: type[SafelightError],
) -> None:
    server.fault("GET", ".*/models", fault)
    async with OpenAiProvider(config, fetcher) as plug:
        with pytest.raises(error):
            await plug.verify()

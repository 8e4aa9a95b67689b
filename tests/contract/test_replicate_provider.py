"""The plug for Replicate, with predictions of every shape and every failure."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from safelight.errors import Forbidden, SafelightError
from safelight.fetch import Fetcher, FetchPolicy
from safelight.jobs.params import complete_params
from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderWorkFailed,
    UnknownOutcome,
)
from safelight.providers.price import Usage
from safelight.providers.provider import (
    Callback,
    Canceled,
    Done,
    Failed,
    InputFile,
    Kind,
    LostStart,
    News,
    Pending,
    ProviderRequest,
    Role,
)
from safelight.providers.remote.replicate import (
    MODELS,
    ReplicateConfig,
    ReplicateModel,
    ReplicateProvider,
    learn,
)
from tests import pictures
from tests.models import glb
from tests.stubs import vendor
from tests.stubs.replicate import SECRET, VERSION, ReplicateStub, encode, refusal, sign

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOOK = "https://safelight.example/callbacks/replicate/token"
SCHNELL = "replicate/black-forest-labs/flux-schnell"
DEV = "replicate/black-forest-labs/flux-dev"
TRELLIS = "replicate/firtoz/trellis"
CALL_S = 2.0  # for the calls that hang; the others must fit into it on a busy machine
LOOK = "/v1/predictions/.*"
ORDER = ".*/predictions"


class Handle:
    """An attempt that may be called back, and has heard `news`."""

    id = "att_test"

    def __init__(self, callback_url: str | None = None, news: bytes | None = None) -> None:
        self.callback_url = callback_url
        self.news = news

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        """Take no note."""


@pytest.fixture
async def server() -> AsyncIterator[ReplicateStub]:
    async with ReplicateStub(pictures.picture("png")).running() as running:
        yield running


@pytest.fixture
async def fetcher(server: ReplicateStub) -> AsyncIterator[Fetcher]:
    policy = FetchPolicy(allow_private=True, ports=frozenset({server.port}), total_s=2)
    async with Fetcher(policy) as opened:
        yield opened


@pytest.fixture
def config(server: ReplicateStub) -> ReplicateConfig:
    return ReplicateConfig("r8_test", server.base_url, call_s=CALL_S, learn_s=1.0)


@pytest.fixture
async def plug(config: ReplicateConfig, fetcher: Fetcher) -> AsyncIterator[ReplicateProvider]:
    async with ReplicateProvider(config, fetcher, clock=lambda: NOW) as opened:
        yield opened


def order(
    plug: ReplicateProvider,
    tmp_path: Path,
    model: str = SCHNELL,
    *inputs: InputFile,
    **params: Any,
) -> ProviderRequest:
    offer = next(known for known in plug.capabilities() if known.id.startswith(model))
    full = complete_params(offer, params)
    scratch = tmp_path / "scratch"
    kind = min(offer.kinds)
    return ProviderRequest(kind, offer.id, "a red cat", full, inputs, scratch)


def input_of(
    tmp_path: Path, role: Role = Role.REFERENCE, content: bytes | None = None
) -> InputFile:
    path = tmp_path / f"{role.value}-{len(list(tmp_path.iterdir()))}.png"
    path.write_bytes(content or pictures.picture("png"))
    return InputFile(path, "image/png", "cat.png", role)


async def begun(
    plug: ReplicateProvider, request: ProviderRequest, handle: Handle | None = None
) -> str:
    answer = await plug.start(request, handle or Handle())
    assert isinstance(answer, Pending)
    return answer.ticket


async def ended(plug: ReplicateProvider, server: ReplicateStub, request: ProviderRequest) -> Done:
    ticket = await begun(plug, request)
    server.finish(ticket)
    answer = await plug.check(ticket, request, Handle())
    assert isinstance(answer, Done)
    return answer


async def failed(
    plug: ReplicateProvider, server: ReplicateStub, request: ProviderRequest
) -> Failed:
    """Return the verdict on work that has ended."""
    ticket = await begun(plug, request)
    server.finish(ticket)
    answer = await plug.check(ticket, request, Handle())
    assert isinstance(answer, Failed)
    return answer


def offered(server: ReplicateStub, model: ReplicateModel) -> ReplicateConfig:
    return ReplicateConfig("r8_test", server.base_url, call_s=CALL_S, name=model.provider)


# --- what is asked for --------------------------------------------------------------------------


async def test_start_when_a_picture_is_wanted_translates_our_names_and_values(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    request = order(plug, tmp_path, n=2, size="1920x1080", seed=7, format="jpeg")
    answer = await plug.start(request, Handle())
    assert answer == Pending("pred1", timedelta(seconds=2), "starting at the provider", None)
    (sent,) = server.orders
    assert sent.path == "/v1/models/black-forest-labs/flux-schnell/predictions"
    assert sent.headers["authorization"] == "Bearer r8_test"
    assert sent.headers["cancel-after"] == "600s"
    assert sent.json == {
        "input": {
            "prompt": "a red cat",
            "num_outputs": 2,
            "aspect_ratio": "16:9",
            "seed": 7,
            "output_format": "jpg",
            "output_quality": 80,
            "megapixels": "1",
            "num_inference_steps": 4,
        }
    }


async def test_start_when_it_can_be_called_back_says_where_and_looks_seldom(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    answer = await plug.start(order(plug, tmp_path), Handle(HOOK))
    assert isinstance(answer, Pending)
    assert answer.check_after == timedelta(seconds=60)
    assert server.orders[0].json["webhook"] == HOOK
    assert server.orders[0].json["webhook_events_filter"] == ["completed"]
    plain = HOOK.replace("https", "http")  # which Replicate would refuse
    answer = await plug.start(order(plug, tmp_path), Handle(plain))
    assert isinstance(answer, Pending)
    assert answer.check_after == timedelta(seconds=2)
    assert "webhook" not in server.orders[1].json


async def test_start_when_a_version_is_named_begins_it_by_that(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    answer = await plug.start(order(plug, tmp_path, TRELLIS, input_of(tmp_path)), Handle())
    assert isinstance(answer, Pending)
    assert answer.check_after == timedelta(seconds=5)
    (sent,) = server.orders
    assert sent.path == "/v1/predictions"
    assert len(sent.json["version"]) == 64
    told = sent.json["input"]
    assert (told["generate_model"], told["randomize_seed"]) == (True, False)
    assert [image.partition(",")[0] for image in told["images"]] == ["data:image/png;base64"]
    assert sent.headers["cancel-after"] == "1800s"


async def test_start_when_a_picture_is_small_spells_it_out_and_a_large_one_is_uploaded(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    small = input_of(tmp_path)
    await begun(plug, order(plug, tmp_path, DEV, small))
    uri = server.orders[0].json["input"]["image"]
    assert base64.b64decode(uri.partition(",")[2]) == small.path.read_bytes()
    content = pictures.picture("png") + bytes(300_000)
    await begun(plug, order(plug, tmp_path, DEV, input_of(tmp_path, content=content)))
    assert list(server.uploads.values()) == [content]
    assert server.orders[1].json["input"]["image"] == f"{server.base_url}/files/file1"


async def test_start_when_an_upload_fails_has_paid_nothing(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    large = input_of(tmp_path, content=pictures.picture("png") + bytes(300_000))
    for fault, error in ((vendor.refuse(500), ProviderError), (vendor.cut, ProviderError)):
        server.fault("POST", "/v1/files", fault)
        with pytest.raises(error) as caught:
            await plug.start(order(plug, tmp_path, DEV, large), Handle())
        assert not isinstance(caught.value, UnknownOutcome)
    assert server.orders == []


async def test_start_when_the_model_takes_a_mask_puts_each_picture_in_its_field(
    server: ReplicateStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    picture = {"type": "string", "format": "uri"}
    model = ReplicateModel(
        "me/paint",
        "Paint",
        input_schema={
            "type": "object",
            "properties": {
                "prompt": {"type": "string"},
                "image": picture,
                "mask": picture,
                "width": {"type": "integer", "default": 512},
                "height": {"type": "integer", "default": 512},
            },
            "required": ["prompt", "image"],
            "additionalProperties": False,
        },
    )
    async with ReplicateProvider(offered(server, model), fetcher, (model,)) as plug:
        (offer,) = plug.capabilities()
        assert offer.roles == {Role.REFERENCE, Role.MASK}
        assert offer.kinds == {Kind.IMAGE_TO_IMAGE}
        given = (input_of(tmp_path), input_of(tmp_path, Role.MASK))
        await begun(plug, order(plug, tmp_path, "replicate/me/paint", *given, size="640x480"))
    told = server.orders[0].json["input"]
    assert {"prompt", "image", "mask", "width", "height"} == set(told)
    assert (told["width"], told["height"]) == (640, 480)


async def test_start_when_the_input_would_be_refused_there_is_refused_here(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    request = order(plug, tmp_path)
    for wrong in (
        replace(request, params={"num_inference_steps": 50}),
        replace(request, params={"size": "wide"}),
        replace(request, inputs=(input_of(tmp_path),)),
        replace(request, inputs=(input_of(tmp_path, Role.MASK),)),
        replace(request, prompt=""),
    ):
        with pytest.raises(ProviderBadInput):
            await plug.start(wrong, Handle())
    with pytest.raises(ProviderRejected):
        await plug.start(replace(request, model="replicate/nobody/nothing"), Handle())
    assert server.calls == []


async def test_start_when_the_answer_tells_the_end_is_looked_at_without_delay(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    told = {"id": "pred1", "status": "succeeded", "output": f"{server.url}/made/0.png"}
    server.fault("POST", ORDER, vendor.refuse(201, told))
    answer = await plug.start(order(plug, tmp_path), Handle(HOOK))
    assert isinstance(answer, Pending)
    assert (answer.ticket, answer.check_after) == ("pred1", timedelta())


async def test_start_when_a_field_is_fixed_sends_it_and_lets_no_job_say_otherwise(
    server: ReplicateStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    model = replace(MODELS[0], fixed={"megapixels": "0.25", "disable_safety_checker": False})
    async with ReplicateProvider(offered(server, model), fetcher, (model,)) as plug:
        request = order(plug, tmp_path)
        assert "megapixels" not in plug.capabilities()[0].params_schema["properties"]
        with pytest.raises(ProviderBadInput) as caught:
            await plug.start(replace(request, params={"megapixels": "1"}), Handle())
        assert caught.value.errors
        assert server.calls == []
        await begun(plug, request)
    told = server.orders[0].json["input"]
    assert (told["megapixels"], told["disable_safety_checker"]) == ("0.25", False)


# --- how it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "count"),
    [
        ("{url}/made/0.png", 1),
        (["{url}/made/0.png", "{url}/made/1.png"], 2),
        ({"image": "{url}/made/0.png", "seed": 7, "caption": "a cat"}, 1),
        ({"images": [{"url": "{url}/made/0.png"}, None, {"url": "{url}/made/1.png"}]}, 2),
        ([["{url}/made/0.png"], "no address"], 1),
        ("data:image/png;base64,$PICTURE", 1),
        (["data:image/png;base64,$PICTURE", "{url}/made/0.png"], 2),
    ],
)
async def test_check_when_the_output_has_any_shape_brings_its_files_home(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path, output: Any, count: int
) -> None:
    spelled = base64.b64encode(server.picture).decode()
    server.output = _replaced(output, "$PICTURE", spelled)
    done = await ended(plug, server, order(plug, tmp_path))
    assert [made.path.read_bytes() for made in done.outputs] == [server.picture] * count
    assert {made.media_type for made in done.outputs} == {"image/png"}
    assert all(made.path.is_relative_to(tmp_path / "scratch") for made in done.outputs)
    assert not any(made.source_url for made in done.outputs)


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [_replaced(one, old, new) for one in value]
    return value


async def test_check_when_it_has_ended_keeps_what_is_worth_knowing(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    done = await ended(plug, server, order(plug, tmp_path))
    assert done.facts == {
        "prediction": "pred1",
        "model": "black-forest-labs/flux-schnell",
        "version": "hidden",
        "predict_time": 1.5,
        "total_time": 2.25,
        "seed": 4711,
    }
    assert done.usage is not None
    assert (done.usage.seconds, done.cost_micros) == (1.5, None)


async def test_start_when_the_response_has_the_end_needs_no_look(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    server.fault("POST", ORDER, vendor.refuse(201, server.finish("pred9")))
    request = order(plug, tmp_path)
    begun = await plug.start(request, Handle())
    assert isinstance(begun, Pending)
    assert begun.check_after == timedelta()
    done = await plug.check(begun.ticket, request, Handle(news=begun.news))
    assert isinstance(done, Done)
    assert len(done.outputs) == 1
    assert server.called("GET", LOOK) == []


async def test_check_when_it_runs_tells_stage_and_percent(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    server.turns = 5
    request = order(plug, tmp_path)
    ticket = await begun(plug, request)
    server.midway = {"status": "processing", "logs": "seed 1\n 10%|# | 1/10\n 40%|#### | 4/10"}
    answer = await plug.check(ticket, request, Handle())
    assert answer == Pending(ticket, timedelta(seconds=2), "processing", 40)
    server.midway = {"status": "a\x00new word", "logs": "900%|", "output": None}
    answer = await plug.check(ticket, request, Handle())
    assert answer == Pending(ticket, timedelta(seconds=2), "anew word", None)


async def test_check_when_a_model_was_made_brings_it_with_its_picture(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    server.output = {
        "color_video": "{url}/made/video.mp4",
        "model_file": "{url}/made/model.glb",
        "no_background_images": ["{url}/made/0.png"],
    }
    server.route("GET", "/made/model.glb", lambda _: vendor.Reply(200, glb()))
    done = await ended(plug, server, order(plug, tmp_path, TRELLIS, input_of(tmp_path)))
    (model,) = done.outputs
    assert model.media_type == "model/gltf-binary"
    assert model.preview is not None
    assert model.preview.read_bytes() == server.picture
    assert "incomplete" in done.facts  # the video


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ({"status": "canceled"}, ProviderRejected),
        ({"status": "aborted"}, ProviderRejected),
        ({"status": "failed", "error": "CUDA error"}, ProviderRejected),
        ({"status": "failed", "error": None}, ProviderRejected),
        ({"status": "failed", "error": {"why": "a list"}}, ProviderRejected),
        ({"status": "failed", "error": "Prediction interrupted; please retry (code: PA)"},
         ProviderWorkFailed),
        ({"status": "failed", "error": "CUDA out of memory"}, ProviderWorkFailed),
        ({"status": "failed", "error": "NSFW content detected. Try again."}, ProviderRefused),
        ({"status": "failed", "error": "The input was flagged as sensitive. (E005)"},
         ProviderRefused),
        ({"status": "failed", "error": "Input validation error: seed"}, ProviderBadInput),
        ({"status": "exploded", "completed_at": "2026-11-23T09:00:02Z"}, ProviderRejected),
        ({"output": None}, ProviderRejected),
        ({"output": None, "data_removed": True}, ProviderRejected),
        ({"output": [], "logs": "NSFW content detected in 1 image"}, ProviderRefused),
        ({"output": "a poem about cats"}, ProviderRejected),
        ({"output": {"a": {"b": [1, 2, None]}}}, ProviderRejected),
    ],
)  # fmt: skip
async def test_check_when_the_work_has_failed_says_how(
    plug: ReplicateProvider,
    server: ReplicateStub,
    tmp_path: Path,
    ending: dict[str, Any],
    error: type[SafelightError],
) -> None:
    server.ending = ending
    verdict = await failed(plug, server, order(plug, tmp_path))
    assert type(verdict.error) is error, verdict.error
    if error is ProviderRefused:
        assert verdict.error.extra["categories"]
    assert verdict.usage.seconds == 1.5, "what ran is billed, also where it failed"
    # Only what was never begun is known to cost nothing.
    assert verdict.cost_micros == (0 if ending.get("status") == "aborted" else None)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.html, MediaUnsupported),
        (vendor.cut_in_body, SafelightError),
        (vendor.refuse(404), SafelightError),
        (vendor.claim(2 * 2**30), SafelightError),
        (vendor.hang, SafelightError),
        (vendor.endless, SafelightError),
    ],
)
async def test_check_when_the_file_is_not_what_it_should_be_is_no_result(
    plug: ReplicateProvider,
    server: ReplicateStub,
    tmp_path: Path,
    fault: vendor.Fault,
    error: type[SafelightError],
) -> None:
    request = order(plug, tmp_path)
    ticket = await begun(plug, request)
    server.finish(ticket)
    server.fault("GET", "/made/.*", fault)
    with pytest.raises(error):
        await plug.check(ticket, request, Handle())
    # What did not go by itself is still there for the next look.
    assert isinstance(await plug.check(ticket, request, Handle()), Done)
    assert len(server.orders) == 1


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("data:image/png;base64,###", MediaTruncated),
        ("data:text/plain;base64,bm8gcGljdHVyZQ==", MediaUnsupported),
    ],
)
async def test_check_when_a_file_that_is_spelled_out_is_damaged_says_so(
    plug: ReplicateProvider,
    server: ReplicateStub,
    tmp_path: Path,
    output: str,
    error: type[SafelightError],
) -> None:
    server.output = output
    with pytest.raises(error):
        await ended(plug, server, order(plug, tmp_path))


@pytest.mark.parametrize("output", ["data:image/png,plain", "file:///etc/passwd"])
async def test_check_when_an_output_only_looks_like_a_file_is_a_verdict(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path, output: str
) -> None:
    server.output = output
    assert isinstance((await failed(plug, server, order(plug, tmp_path))).error, ProviderRejected)


async def test_check_when_a_3d_model_was_wanted_and_none_made_says_so(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    verdict = await failed(plug, server, order(plug, tmp_path, TRELLIS, input_of(tmp_path)))
    assert "without a 3D model" in verdict.error.detail
    assert verdict.usage.seconds == 1.5


async def test_check_when_one_of_two_pictures_is_a_page_waits_for_both(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    """It is paid, and a server in between may have sent the page."""
    server.output = ["{url}/made/0.png", "{url}/made/1.png"]
    request = order(plug, tmp_path)
    ticket = await begun(plug, request)
    server.finish(ticket)
    server.fault("GET", "/made/0.png", vendor.html)
    with pytest.raises(MediaUnsupported):
        await plug.check(ticket, request, Handle())
    done = await plug.check(ticket, request, Handle())
    assert isinstance(done, Done)
    assert len(done.outputs) == 2


async def test_check_when_a_video_comes_along_keeps_the_picture(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    server.output = ["{url}/made/0.png", "{url}/made/1.mp4"]
    done = await ended(plug, server, order(plug, tmp_path))
    assert len(done.outputs) == 1
    assert "incomplete" in done.facts


# --- ways to fail -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "wait"),
    [
        (refusal(401, "You did not pass a valid token."), ProviderUnauthorized, None),
        (refusal(402, "You have insufficient credit."), ProviderOutOfCredit, None),
        (refusal(422, "- input.seed: is wrong"), ProviderBadInput, None),
        (refusal(422, "NSFW content in the prompt"), ProviderRefused, None),
        (refusal(404, "No such model"), ProviderRejected, None),
        (refusal(429, "Request was throttled."), ProviderRateLimited, None),
        (refusal(429, "Throttled.", retry_after=8), ProviderRateLimited, 8),
        (vendor.refuse(429, Retry_After="3"), ProviderRateLimited, 3),
        (refusal(500, "We are down."), ProviderError, None),
        (vendor.refuse(502), ProviderError, None),
    ],
)
async def test_start_when_it_is_refused_says_how(
    plug: ReplicateProvider,
    server: ReplicateStub,
    tmp_path: Path,
    fault: vendor.Fault,
    error: type[SafelightError],
    wait: float | None,
) -> None:
    server.fault("POST", ORDER, fault)
    with pytest.raises(error) as caught:
        await plug.start(order(plug, tmp_path), Handle())
    after = caught.value.retry_after
    assert (after.total_seconds() if after else None) == wait
    assert len(server.orders) == 1


async def test_start_when_fields_are_refused_names_them_as_jobs_know_them(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    wrong = [{"type": "x", "field": "input.seed", "description": "Too large"}, "odd", None]
    server.fault("POST", ORDER, refusal(422, "- input.seed", "Invalid", invalid_fields=wrong))
    with pytest.raises(ProviderBadInput) as caught:
        await plug.start(order(plug, tmp_path), Handle())
    assert caught.value.errors[0] == {"field": "seed", "message": "Too large"}


@pytest.mark.parametrize(
    ("told", "header", "wait"),
    [
        (8, "3", 8),
        (3, "8", 8),
        (-1, "", None),
        (True, "", None),
        ("soon", "", None),
        (1e9, "", 86400),
    ],
)
async def test_start_when_throttled_waits_for_the_longer_of_two_bounded(
    plug: ReplicateProvider,
    server: ReplicateStub,
    tmp_path: Path,
    told: object,
    header: str,
    wait: float | None,
) -> None:
    body = {"detail": "Throttled.", "retry_after": told}
    headers = {"Retry_After": header} if header else {}
    server.fault("POST", ORDER, vendor.refuse(429, body, **headers))
    with pytest.raises(ProviderRateLimited) as caught:
        await plug.start(order(plug, tmp_path), Handle())
    after = caught.value.retry_after
    assert (after.total_seconds() if after else None) == wait


@pytest.mark.parametrize(
    "fault", [vendor.refuse(500), vendor.garbage, vendor.hang_in_body, vendor.drip(0.2)]
)
async def test_start_when_nobody_can_tell_what_became_of_it_is_not_repeated(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path, fault: vendor.Fault
) -> None:
    server.fault("POST", ORDER, fault)
    with pytest.raises(UnknownOutcome):
        await plug.start(order(plug, tmp_path), Handle())
    assert len(server.orders) == 1


@pytest.mark.parametrize("answer", [{"id": 7}, {}, [], {"id": "../evil"}])
async def test_start_when_the_answer_names_no_prediction_is_unknown(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path, answer: Any
) -> None:
    server.fault("POST", ORDER, vendor.refuse(201, answer))
    with pytest.raises(UnknownOutcome):
        await plug.start(order(plug, tmp_path), Handle())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.refuse(500), ProviderError),
        (vendor.cut, ProviderError),
        (vendor.hang, ProviderError),
        (vendor.hang_after_headers, ProviderError),
        (vendor.hang_in_body, ProviderError),
        (vendor.cut_in_body, ProviderError),
        (vendor.garbage, ProviderError),
        (vendor.endless, ProviderError),
        (vendor.drip(0.1), ProviderError),
        (vendor.html, ProviderError),
        (vendor.refuse(503, b"<html>"), ProviderError),
        (vendor.no_json, ProviderError),
        (vendor.refuse(200, {"id": "another"}), ProviderError),
        (refusal(429, "Throttled."), ProviderRateLimited),
        (refusal(404, "Not found."), ProviderRejected),
    ],
)
async def test_check_when_the_look_fails_costs_nothing(
    plug: ReplicateProvider,
    server: ReplicateStub,
    tmp_path: Path,
    fault: vendor.Fault,
    error: type[SafelightError],
) -> None:
    request = order(plug, tmp_path)
    ticket = await begun(plug, request)
    server.fault("GET", LOOK, fault)
    with pytest.raises(error) as caught:
        await plug.check(ticket, request, Handle())
    assert not isinstance(caught.value, UnknownOutcome)
    server.finish(ticket)
    assert isinstance(await plug.check(ticket, request, Handle()), Done)
    assert len(server.orders) == 1


# --- callbacks ----------------------------------------------------------------------------------


async def called(
    plug: ReplicateProvider, body: bytes, headers: dict[str, str], at: datetime = NOW
) -> News:
    return await plug.parse_callback(Callback(headers, body, "att_test"))


async def test_callback_when_signed_is_proven_and_spares_the_look(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    request = order(plug, tmp_path)
    ticket = await begun(plug, request, Handle(HOOK))
    body = encode(server.finish(ticket))
    news = await called(plug, body, sign(body, NOW.timestamp()))
    assert news == News("att_test", ticket, is_proven=True)
    assert isinstance(await plug.check(ticket, request, Handle(HOOK, body)), Done)
    assert server.called("GET", LOOK) == []


async def test_callback_when_it_tells_of_other_work_or_no_end_is_looked_behind(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    request = order(plug, tmp_path)
    ticket = await begun(plug, request, Handle(HOOK))
    other = encode({"id": "pred9", "status": "succeeded", "output": "https://evil.example/x.png"})
    for news in (other, encode({"id": ticket, "status": "processing"}), b"\x00"):
        answer = await plug.check(ticket, request, Handle(HOOK, news))
        assert isinstance(answer, Pending | Done)
    assert len(server.called("GET", LOOK)) == 3


async def test_callback_when_the_answer_to_the_start_was_lost_is_enough_to_go_on(
    config: ReplicateConfig, fetcher: Fetcher, server: ReplicateStub, tmp_path: Path
) -> None:
    adopts = replace(config, adopts_within=timedelta(minutes=15))
    async with ReplicateProvider(adopts, fetcher, clock=lambda: NOW) as plug:
        assert plug.adopts_within == timedelta(minutes=15)
        request = order(plug, tmp_path)
        server.fault("POST", ORDER, vendor.lose_answer)
        with pytest.raises(UnknownOutcome):
            await plug.start(request, Handle(HOOK))
        (lost,) = server.works
        body = encode(server.finish(lost))
        news = await called(plug, body, sign(body, NOW.timestamp()))
        assert news.ticket == lost
        done = await plug.check(lost, request, Handle(HOOK, body))
    assert isinstance(done, Done)
    assert len(server.orders) == 1
    assert server.called("GET", LOOK) == []


def lost_start(request: ProviderRequest) -> LostStart:
    return LostStart("att_test", datetime.now(UTC), request)


async def lost(plug: ReplicateProvider, server: ReplicateStub, request: ProviderRequest) -> None:
    server.fault("POST", ORDER, vendor.lose_answer)
    with pytest.raises(UnknownOutcome):
        await plug.start(request, Handle())


async def test_look_up_when_pictures_came_along_needs_a_seed_to_know_the_order(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    request = order(plug, tmp_path, DEV, input_of(tmp_path), seed=7)
    request = replace(request, kind=Kind.IMAGE_TO_IMAGE)
    await lost(plug, server, request)
    bare = replace(request, inputs=())  # as their files are gone
    assert await plug.look_up(lost_start(bare)) == "pred1"
    unseeded = {name: value for name, value in request.params.items() if name != "seed"}
    await lost(plug, server, replace(request, params=unseeded))
    assert await plug.look_up(lost_start(replace(bare, params=unseeded))) is None


@pytest.mark.parametrize("name", ["me/paint", "deployments/me/paint", f"me/paint:{VERSION}"])
async def test_look_up_when_the_work_is_of_another_model_leaves_it_alone(
    server: ReplicateStub, fetcher: Fetcher, tmp_path: Path, name: str
) -> None:
    model = ReplicateModel(name, "Paint", id="replicate/mine")
    other = ReplicateModel("me/other", "Other", id="replicate/other")
    async with ReplicateProvider(offered(server, model), fetcher, (model, other)) as plug:
        await begun(plug, order(plug, tmp_path, "replicate/other"))
        request = order(plug, tmp_path, "replicate/mine")
        assert await plug.look_up(lost_start(request)) is None
        await lost(plug, server, request)
        assert await plug.look_up(lost_start(request)) == "pred2"


@pytest.mark.parametrize(
    "following", ["https://elsewhere.example/v1/predictions?cursor=1", "//evil", 7, "http://[x"]
)
async def test_look_up_when_the_list_leads_elsewhere_does_not_take_the_token_there(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path, following: object
) -> None:
    server.fault("GET", "/v1/predictions", vendor.refuse(200, {"results": [], "next": following}))
    with pytest.raises(ProviderError, match="links to another server"):
        await plug.look_up(lost_start(order(plug, tmp_path)))


async def test_look_up_when_there_are_too_many_pages_gives_up(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    """An unread page may match as well."""
    request = order(plug, tmp_path)
    for _ in range(25):
        await begun(plug, replace(request, prompt="another"))
    await lost(plug, server, request)
    server.page = 1
    assert await plug.look_up(lost_start(request)) is None
    assert len(server.called("GET", "/v1/predictions")) == 20


async def test_look_up_when_entries_make_no_sense_passes_over_them(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    request = order(plug, tmp_path)
    await lost(plug, server, request)
    good = server.told(server.works["pred1"])
    odd = [None, 7, {}, {"id": "x"}, good | {"id": "y", "created_at": "soon"}]
    odd += [good | {"id": "z", "input": None}]
    server.fault("GET", "/v1/predictions", vendor.refuse(200, {"results": [*odd, good]}))
    assert await plug.look_up(lost_start(request)) == "pred1"


async def test_callback_when_it_comes_again_says_the_same_and_asks_nobody(
    plug: ReplicateProvider, server: ReplicateStub
) -> None:
    body = encode(server.finish("pred1"))
    headers = sign(body, NOW.timestamp())
    assert await called(plug, body, headers) == await called(plug, body, headers)
    assert server.called("GET", LOOK) == []


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ({"status": "failed", "error": "NSFW content detected."}, ProviderRefused),
        ({"status": "failed", "error": "boom"}, ProviderRejected),
        ({"status": "canceled"}, ProviderRejected),
        ({"status": "aborted"}, ProviderRejected),
        ({"output": None, "data_removed": True}, ProviderRejected),
    ],
)
async def test_callback_when_the_work_failed_says_why_without_a_look(
    plug: ReplicateProvider,
    server: ReplicateStub,
    tmp_path: Path,
    ending: dict[str, Any],
    error: type[SafelightError],
) -> None:
    server.ending = ending
    request = order(plug, tmp_path)
    ticket = await begun(plug, request, Handle(HOOK))
    verdict = await plug.check(ticket, request, Handle(HOOK, encode(server.finish(ticket))))
    assert isinstance(verdict, Failed)
    assert type(verdict.error) is error
    assert server.called("GET", LOOK) == []


async def test_callback_when_anything_is_wrong_with_it_is_forbidden(
    plug: ReplicateProvider, server: ReplicateStub
) -> None:
    body = encode(server.finish("pred1"))
    at = NOW.timestamp()
    good = sign(body, at)
    other = "whsec_" + base64.b64encode(bytes(24)).decode()
    wrong: list[tuple[bytes, dict[str, str]]] = [
        (body, {}),
        (body + b" ", good),
        (body, sign(body, at, other)),
        (body, sign(body, at - 301)),
        (body, sign(body, at + 301)),
        (body, good | {"webhook-id": "msg_2"}),
        (body, good | {"webhook-timestamp": "now"}),
        (body, good | {"webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}),
        (body, good | {"webhook-signature": ""}),
        (b"[]", sign(b"[]", at)),
    ]
    for content, headers in wrong:
        with pytest.raises(Forbidden):
            await called(plug, content, headers)
    assert (await called(plug, body, good)).is_proven
    assert (await called(plug, body, sign(body, at - 299))).is_proven


async def test_callback_when_no_secret_is_set_asks_for_it_once(
    plug: ReplicateProvider, server: ReplicateStub
) -> None:
    body = encode(server.finish("pred1"))
    for _ in range(3):
        assert (await called(plug, body, sign(body, NOW.timestamp()))).is_proven
    assert len(server.called("GET", "/v1/webhooks/default/secret")) == 1


async def test_callback_when_the_secret_cannot_be_had_is_not_believed_nor_forgotten(
    plug: ReplicateProvider, server: ReplicateStub
) -> None:
    body = encode(server.finish("pred1"))
    server.fault("GET", ".*/secret", vendor.refuse(500))
    for _ in range(3):  # callers cannot make us call the vendor each time
        with pytest.raises(ProviderError):
            await called(plug, body, sign(body, NOW.timestamp()))
    assert len(server.called("GET", "/v1/webhooks/default/secret")) == 1


@pytest.mark.parametrize(
    "fault",
    [
        vendor.cut,
        vendor.garbage,
        vendor.no_json,
        vendor.refuse(401),
        vendor.refuse(200, {"key": "whsec_!"}),
        vendor.refuse(200, {"key": 7}),
        vendor.refuse(200, []),
    ],
)
async def test_callback_when_the_secret_could_not_be_had_is_asked_for_after_a_pause(
    config: ReplicateConfig, fetcher: Fetcher, server: ReplicateStub, fault: vendor.Fault
) -> None:
    now = [0.0]
    body = encode(server.finish("pred1"))
    headers = sign(body, NOW.timestamp())
    server.fault("GET", ".*/secret", fault)
    async with ReplicateProvider(config, fetcher, clock=lambda: NOW, ticks=lambda: now[0]) as plug:
        with pytest.raises(ProviderError):
            await called(plug, body, headers)
        now[0] = 29
        with pytest.raises(ProviderError):
            await called(plug, body, headers)
        assert len(server.called("GET", ".*/secret")) == 1
        now[0] = 31
        assert (await called(plug, body, headers)).is_proven


async def test_callback_when_many_come_at_once_the_secret_is_asked_for_once(
    plug: ReplicateProvider, server: ReplicateStub
) -> None:
    body = encode(server.finish("pred1"))
    headers = sign(body, NOW.timestamp())
    heard = await asyncio.gather(*(called(plug, body, headers) for _ in range(20)))
    assert all(news.is_proven for news in heard)
    assert len(server.called("GET", ".*/secret")) == 1


async def test_callback_when_stale_or_unsigned_makes_nobody_ask_for_the_secret(
    plug: ReplicateProvider, server: ReplicateStub
) -> None:
    body = encode({"id": "pred1"})
    for headers in ({}, sign(body, NOW.timestamp() - 301), sign(body, NOW.timestamp() + 301)):
        with pytest.raises(Forbidden):
            await called(plug, body, headers)
    assert server.calls == []


async def test_callback_when_a_secret_is_set_is_held_against_that(
    config: ReplicateConfig, fetcher: Fetcher, server: ReplicateStub
) -> None:
    own = "whsec_" + base64.b64encode(b"k" * 24).decode()
    body = encode(server.finish("pred1"))
    async with ReplicateProvider(
        replace(config, webhook_secret=own), fetcher, clock=lambda: NOW
    ) as plug:
        assert (await called(plug, body, sign(body, NOW.timestamp(), own))).is_proven
        with pytest.raises(Forbidden):
            await called(plug, body, sign(body, NOW.timestamp(), SECRET))
    assert server.calls == []
    for bad in ("secret", "whsec_!", "whsec_c2hvcnQ="):
        with pytest.raises(ValueError, match="callback secret"):
            ReplicateProvider(replace(config, webhook_secret=bad), fetcher)


# --- tickets ------------------------------------------------------------------------------------


async def test_cancel_when_under_way_ends_it_and_tells_how_long_it_ran(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    request = order(plug, tmp_path)
    ticket = await begun(plug, request)
    assert await plug.cancel(ticket) == Canceled(True, None, Usage(seconds=0.75))
    assert server.canceled == [ticket]
    verdict = await plug.check(ticket, request, Handle())
    assert isinstance(verdict, Failed)
    assert "canceled" in verdict.error.detail
    assert verdict.usage.seconds == 0.75


async def test_cancel_when_the_prediction_has_ended_says_so_with_its_time(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    ticket = await begun(plug, order(plug, tmp_path))
    server.finish(ticket)  # so that the request to cancel is refused
    assert await plug.cancel(ticket) == Canceled(True, None, Usage(seconds=1.5))


async def test_cancel_when_nobody_can_tell_raises(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    ticket = await begun(plug, order(plug, tmp_path))
    for unknown in ("unknown", "../files"):
        with pytest.raises(ProviderRejected):
            await plug.cancel(unknown)
    assert not server.called("POST", ".*files.*")
    server.fault("POST", ".*/cancel", refusal(422, "Not now."), vendor.refuse(500))
    for error in (ProviderBadInput, ProviderError):
        with pytest.raises(error):
            await plug.cancel(ticket)


async def test_ticket_when_no_prediction_is_named_so_is_never_asked_for(
    plug: ReplicateProvider, server: ReplicateStub, tmp_path: Path
) -> None:
    for ticket in ("../account", "a/b", "", "x" * 101, "a?b", "ä"):
        with pytest.raises(ProviderRejected):
            await plug.check(ticket, order(plug, tmp_path), Handle())
    assert server.calls == []


# --- learning, verification ---------------------------------------------------------------------


async def test_learn_when_models_describe_themselves_offers_what_they_take(
    config: ReplicateConfig, server: ReplicateStub
) -> None:
    server.describe(
        "me/paint",
        prompt={"type": "string", "required": True, "x-order": 0},
        image={"type": "string", "format": "uri", "x-order": 1},
        steps={"type": "integer", "minimum": 1, "maximum": 8, "default": 4, "x-order": 2},
    )
    known = [
        ReplicateModel("me/paint", "Paint"),
        ReplicateModel(f"me/paint:{VERSION}", "Paint", id="replicate/me/paint@1"),
        ReplicateModel("deployments/me/paint", "Paint"),
    ]
    for model in await learn(config, tuple(known)):
        assert set(model.offer.params_schema["properties"]) == {"steps"}
        assert model.offer.kinds == {Kind.TEXT_TO_IMAGE, Kind.IMAGE_TO_IMAGE}
        assert model.offer.max_inputs == 1


@pytest.mark.parametrize("fault", [vendor.refuse(500), vendor.hang, vendor.no_json, vendor.html])
async def test_learn_when_a_model_cannot_be_asked_takes_it_as_configured(
    config: ReplicateConfig, server: ReplicateStub, fault: vendor.Fault
) -> None:
    server.fault("GET", "/v1/models/.*", fault)
    known = (MODELS[0], ReplicateModel("nobody/nothing", "Nothing"))
    found = await learn(replace(config, learn_s=0.4), known)
    assert found == known


ODD: tuple[dict[str, Any], ...] = (
    {"type": {"of": "nothing"}},
    {"type": [["string"], {}]},
    {"type": "string", "title": "_"},
    {"type": "integer", "enum": [{}], "minimum": "low", "default": {}},
)


@pytest.mark.parametrize("rule", ODD)
async def test_learn_when_a_rule_makes_no_sense_offers_the_rest(
    config: ReplicateConfig, server: ReplicateStub, rule: dict[str, Any]
) -> None:
    server.describe(
        "me/paint", prompt={"type": "string"}, odd=dict(rule), steps={"type": "integer"}
    )
    (model,) = await learn(config, (ReplicateModel("me/paint", "Paint"),))
    assert set(model.offer.params_schema["properties"]) == {"odd", "steps"}


@pytest.mark.parametrize(
    "schemas",
    [
        {},
        {"Input": []},
        {"Input": {"$ref": "#/components/schemas/Input"}},
        {"Input": {"properties": {f"f{number}": {} for number in range(101)}}},
        {"Input": {"properties": {"a": {"enum": ["x" * 70_000]}}}},
    ],
)
async def test_learn_when_a_description_is_of_no_use_takes_the_model_as_configured(
    config: ReplicateConfig, server: ReplicateStub, schemas: dict[str, Any]
) -> None:
    server.schemas["me/paint"] = schemas
    server.describe("me/other", prompt={"type": "string"}, steps={"type": "integer"})
    known = (ReplicateModel("me/paint", "Paint"), ReplicateModel("me/other", "Other"))
    bad, good = await learn(config, known)
    assert bad == known[0]
    assert set(good.offer.params_schema["properties"]) == {"steps"}


async def test_learn_when_a_named_field_is_gone_or_nobody_can_be_asked_keeps_what_is_configured(
    config: ReplicateConfig, server: ReplicateStub
) -> None:
    server.describe("me/paint", prompt={"type": "string"})
    rules = {"type": "object", "properties": {"style": {"type": "string", "format": "uri"}}}
    named = ReplicateModel("me/paint", "Paint", input_schema=rules, takes={"picture": "style"})
    bare = ReplicateModel(VERSION, "A version alone")
    assert await learn(config, (named, bare)) == (named, bare)
    assert [call.path for call in server.calls] == ["/v1/models/me/paint"]


async def test_learn_when_descriptions_are_endless_or_slow_is_over_in_time(
    config: ReplicateConfig, server: ReplicateStub
) -> None:
    server.fault("GET", "/v1/models/.*", vendor.endless, vendor.drip(0.1), vendor.hang)
    known = tuple(ReplicateModel(f"me/model{number}", "Model") for number in range(3))
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert await learn(replace(config, learn_s=0.5), known) == known
    assert loop.time() - before < 3


async def test_verify_when_the_token_is_good_says_whose_it_is(
    plug: ReplicateProvider, server: ReplicateStub
) -> None:
    server.route("GET", "/v1/account", lambda _: vendor.Reply(200, {"username": "me"}))
    assert await plug.verify() == "the token is valid for me"
    assert server.orders == []
    server.fault("GET", "/v1/account", vendor.refuse(401))
    with pytest.raises(ProviderUnauthorized):
        await plug.verify()


@pytest.mark.parametrize(
    ("fault", "error"),
    [(vendor.refuse(500), ProviderError), (vendor.cut, ProviderError)],
)
async def test_verify_when_nobody_answers_is_not_taken_for_a_bad_token(
    plug: ReplicateProvider,
    server: ReplicateStub,
    fault: vendor.Fault,
    error: type[SafelightError],
) -> None:
    server.fault("GET", "/v1/account", fault)
    with pytest.raises(SafelightError) as caught:
        await plug.verify()
    assert type(caught.value) is error


async def test_verify_when_the_account_has_no_name_is_content(
    plug: ReplicateProvider, server: ReplicateStub
) -> None:
    server.fault("GET", "/v1/account", vendor.refuse(200, []))
    assert await plug.verify() == "the token is valid for an account"


def test_config_when_shown_keeps_its_secrets() -> None:
    shown = repr(ReplicateConfig("r8_token", webhook_secret=SECRET))
    assert "r8_token" not in shown
    assert SECRET not in shown


def test_provider_when_a_model_is_of_another_is_refused() -> None:
    stranger = ReplicateModel("me/paint", "Paint", provider="other")
    with pytest.raises(ValueError, match="its provider"):
        ReplicateProvider(ReplicateConfig("r8_test"), Fetcher(FetchPolicy()), (stranger,))


def test_models_when_offered_are_of_the_kinds_that_jobs_know() -> None:
    offers = {model.offer.id: model.offer for model in MODELS}
    assert offers[SCHNELL].kinds == {Kind.TEXT_TO_IMAGE}
    assert offers[DEV].kinds == {Kind.TEXT_TO_IMAGE, Kind.IMAGE_TO_IMAGE}
    trellis = next(offer for name, offer in offers.items() if name.startswith(TRELLIS))
    assert trellis.kinds == {Kind.IMAGE_TO_3D}
    assert trellis.max_inputs == 16
    assert trellis.timeout == timedelta(minutes=30)
    assert {Role.FRONT, Role.LEFT, Role.BACK, Role.RIGHT} <= trellis.roles

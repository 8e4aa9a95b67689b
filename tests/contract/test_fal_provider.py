"""The plug for fal: its queue, its webhooks, and every failure of either."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safelight.errors import Forbidden, SafelightError
from safelight.fetch import Fetcher, FetchPolicy
from safelight.fetch.errors import FetchRefused
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
from safelight.providers.remote.fal import MODELS, FalConfig, FalModel, FalProvider
from tests import pictures
from tests.stubs import vendor
from tests.stubs.fal import KEY, FalStub, encode, jwk

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOOK = "https://safelight.example/callbacks/fal/token"
IMAGE = "fal/fal-ai/flux/schnell"
TRIPO = "fal/tripo3d/tripo/v2.5/image-to-3d"
VIEWS = "fal/tripo3d/tripo/v2.5/multiview-to-3d"
CALL_S = 2.0  # for the calls that hang; the others must fit into it on a busy machine
SUBMIT = "/.+"


class Handle:
    """An attempt that may be called back, and has heard `news`."""

    id = "att_test"

    def __init__(self, callback_url: str | None = None, news: bytes | None = None) -> None:
        self.callback_url = callback_url
        self.news = news

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        """Take no note."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def ticks(self) -> float:
        return (self.now - NOW).total_seconds()


@pytest.fixture
async def server() -> AsyncIterator[FalStub]:
    async with FalStub(pictures.picture("png")).running() as running:
        yield running


@pytest.fixture
async def fetcher(server: FalStub) -> AsyncIterator[Fetcher]:
    policy = FetchPolicy(allow_private=True, ports=frozenset({server.port}), total_s=2)
    async with Fetcher(policy) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def config(server: FalStub) -> FalConfig:
    return FalConfig(KEY, server.url, server.keys_url, server.platform_url, call_s=CALL_S)


@pytest.fixture
async def plug(config: FalConfig, fetcher: Fetcher, clock: Clock) -> AsyncIterator[FalProvider]:
    async with FalProvider(config, fetcher, clock=clock, ticks=clock.ticks) as opened:
        yield opened


def order(
    tmp_path: Path, model: str = IMAGE, *inputs: InputFile, prompt: str = "a red cat", **params: Any
) -> ProviderRequest:
    offer = next(known.offer for known in MODELS if known.offer.id == model)
    full = complete_params(offer, params)
    return ProviderRequest(Kind.TEXT_TO_IMAGE, model, prompt, full, inputs, tmp_path / "scratch")


def input_of(tmp_path: Path, role: Role = Role.REFERENCE) -> InputFile:
    path = tmp_path / f"{role.value}.png"
    path.write_bytes(pictures.picture("png"))
    return InputFile(path, "image/png", "cat.png", role)


async def begun(plug: FalProvider, request: ProviderRequest, handle: Handle | None = None) -> str:
    answer = await plug.start(request, handle or Handle())
    assert isinstance(answer, Pending)
    return answer.ticket


async def ended(plug: FalProvider, server: FalStub, request: ProviderRequest) -> Done:
    ticket = await begun(plug, request)
    server.finish(ticket.rpartition(":")[2])
    answer = await plug.check(ticket, request, Handle())
    assert isinstance(answer, Done)
    return answer


async def failed(plug: FalProvider, server: FalStub, request: ProviderRequest) -> Failed:
    """Return the verdict on a request that has ended."""
    ticket = await begun(plug, request)
    server.finish(ticket.rpartition(":")[2])
    answer = await plug.check(ticket, request, Handle())
    assert isinstance(answer, Failed)
    return answer


# --- what is asked for --------------------------------------------------------------------------


async def test_start_when_a_picture_is_wanted_puts_it_in_the_queue(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    request = order(tmp_path, n=2, size="1024x768", seed=7, format="jpeg")
    answer = await plug.start(request, Handle())
    assert answer == Pending(
        "fal-ai/flux:fal-1", timedelta(seconds=2), "number 1 in the queue", None
    )
    (sent,) = server.orders
    assert sent.path == "/fal-ai/flux/schnell"
    assert sent.query == {}
    assert sent.headers["authorization"] == f"Key {KEY}"
    assert sent.headers["x-fal-request-timeout"] == "600"
    assert sent.json == {
        "prompt": "a red cat",
        "num_images": 2,
        "image_size": {"width": 1024, "height": 768},
        "seed": 7,
        "output_format": "jpeg",
    }


async def test_start_when_it_can_be_called_back_says_where_and_looks_seldom(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    answer = await plug.start(order(tmp_path), Handle(HOOK))
    assert isinstance(answer, Pending)
    assert answer.check_after == timedelta(seconds=60)
    assert server.orders[0].query == {"fal_webhook": HOOK}


async def test_start_when_tripo_is_wanted_sends_all_that_it_takes(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    params = {
        "texture": "HD",
        "pbr": True,
        "face_limit": 5000,
        "seed": 1,
        "texture_seed": 2,
        "auto_size": True,
        "texture_alignment": "geometry",
        "orientation": "align_image",
        "quad": False,
    }
    request = order(tmp_path, TRIPO, input_of(tmp_path), **params)
    assert await begun(plug, request) == "tripo3d/tripo:fal-1"
    (sent,) = server.orders
    assert sent.path == "/tripo3d/tripo/v2.5/image-to-3d"
    assert sent.json.pop("image_url").startswith("data:image/png;base64,")
    assert {name: value for name, value in sent.json.items() if name != "image_url"} == params


async def test_start_when_there_are_views_gives_each_its_place(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    views = [input_of(tmp_path, role) for role in (Role.BACK, Role.FRONT, Role.LEFT)]
    await begun(plug, order(tmp_path, VIEWS, *views))
    await begun(plug, order(tmp_path, VIEWS, input_of(tmp_path)))
    both, alone = ({name for name in sent.json if name.endswith("_url")} for sent in server.orders)
    assert both == {"back_image_url", "front_image_url", "left_image_url"}
    assert alone == {"front_image_url"}


@pytest.mark.parametrize(
    ("model", "roles"),
    [
        (TRIPO, ()),
        (TRIPO, (Role.MASK,)),
        (IMAGE, (Role.REFERENCE,)),
        (VIEWS, (Role.BACK,)),
        (TRIPO, (Role.REFERENCE, Role.REFERENCE)),
    ],
)
async def test_start_when_the_pictures_do_not_fit_is_refused_before_it_is_paid(
    plug: FalProvider, server: FalStub, tmp_path: Path, model: str, roles: tuple[Role, ...]
) -> None:
    with pytest.raises(ProviderBadInput):
        await plug.start(
            order(tmp_path, model, *(input_of(tmp_path, role) for role in roles)), Handle()
        )
    assert server.calls == []


async def test_start_when_the_pictures_are_too_large_is_refused_before_it_is_paid(
    config: FalConfig, fetcher: Fetcher, server: FalStub, tmp_path: Path
) -> None:
    async with FalProvider(replace(config, max_input_bytes=10), fetcher) as plug:
        with pytest.raises(ProviderBadInput, match="at most 10"):
            await plug.start(order(tmp_path, TRIPO, input_of(tmp_path)), Handle())
    assert server.calls == []


@pytest.mark.parametrize("name", ["flux", "a/../b", "a b/c", "/a/b", "a/b?x=1", "a/b#c", ""])
def test_model_when_its_name_is_no_endpoint_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not an endpoint"):
        FalModel(name, "Odd")


def test_model_when_it_is_in_a_namespace_is_asked_about_with_it() -> None:
    assert FalModel("workflows/me/mine/v2", "Mine").app == "workflows/me/mine"


# --- what comes back ----------------------------------------------------------------------------


async def test_check_when_it_is_under_way_says_how_far(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.turns = 2
    request = order(tmp_path)
    ticket = await begun(plug, request)
    stages = [await plug.check(ticket, request, Handle()) for _ in range(2)]
    assert [stage.stage for stage in stages if isinstance(stage, Pending)] == [
        "number 3 in the queue",
        "working",
    ]
    done = await plug.check(ticket, request, Handle())
    assert isinstance(done, Done)
    assert (done.usage.seconds, done.cost_micros) == (1.5, None)
    assert "elsewhere" not in " ".join(call.headers["host"] for call in server.calls)


async def test_check_when_pictures_are_made_brings_them_in_their_order(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.output = {
        "images": [{"url": "{url}/files/0.png", "width": 64}, {"url": "{url}/files/1.png"}],
        "seed": 7,
        "timings": {"inference": 0.7},
        "has_nsfw_concepts": [False, False],
        "prompt": "a red cat",
    }
    done = await ended(plug, server, order(tmp_path))
    assert [file.media_type for file in done.outputs] == ["image/png"] * 2
    assert [file.path.read_bytes() for file in done.outputs] == [server.picture] * 2
    assert done.facts == {"seed": 7, "prompt": "a red cat"}
    assert [call.path for call in server.called("GET", "/files/.*")] == [
        "/files/0.png",
        "/files/1.png",
    ]


@pytest.mark.parametrize(
    "output",
    [
        {"image": {"url": "{url}/files/0.png"}},
        {"images": ["{url}/files/0.png"]},
        {"output": "{url}/files/0.png"},
    ],
)
async def test_check_when_an_output_has_another_shape_finds_its_file(
    plug: FalProvider, server: FalStub, tmp_path: Path, output: dict[str, Any]
) -> None:
    server.output = output
    assert len((await ended(plug, server, order(tmp_path))).outputs) == 1


async def test_check_when_some_pictures_are_held_back_keeps_the_others(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.output = {
        "images": [{"url": "{url}/files/0.png"}, {"url": "{url}/files/1.png"}],
        "has_nsfw_concepts": [True, False],
    }
    done = await ended(plug, server, order(tmp_path))
    assert (len(done.outputs), done.facts) == (1, {"held_back": 1})
    server.output["has_nsfw_concepts"] = [True, True]
    verdict = await failed(plug, server, order(tmp_path))
    assert isinstance(verdict.error, ProviderRefused)
    assert verdict.usage.seconds == 1.5


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        (("pbr_model", "model_mesh", "base_model"), "pbr_model"),
        (("model_mesh", "base_model"), "model_mesh"),
        (("base_model",), "base_model"),
    ],
)
async def test_check_when_3d_is_made_takes_the_finest_model_and_its_picture(
    plug: FalProvider, server: FalStub, tmp_path: Path, named: tuple[str, ...], chosen: str
) -> None:
    server.output = {name: {"url": f"{{url}}/files/{name}.glb"} for name in named} | {
        "task_id": "t-1",
        "rendered_image": {"url": "{url}/files/preview.png"},
    }
    done = await ended(plug, server, order(tmp_path, TRIPO, input_of(tmp_path)))
    (model,) = done.outputs
    assert model.media_type == "model/gltf-binary"
    assert model.preview is not None
    assert model.preview.read_bytes() == server.picture
    assert done.facts == {"task_id": "t-1"}
    assert len(server.called("GET", f"/files/{chosen}.glb")) == 1


async def test_check_when_quads_are_made_takes_the_fbx(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.output = {"task_id": "t-1", "model_mesh": {"url": "{url}/files/model.fbx"}}
    done = await ended(plug, server, order(tmp_path, TRIPO, input_of(tmp_path), quad=True))
    assert [file.media_type for file in done.outputs] == ["application/vnd.autodesk.fbx"]


async def test_check_when_another_process_began_it_goes_on_by_the_ticket(
    plug: FalProvider, config: FalConfig, fetcher: Fetcher, server: FalStub, tmp_path: Path
) -> None:
    request = order(tmp_path, TRIPO, input_of(tmp_path))
    server.output = {"task_id": "t", "model_mesh": {"url": "{url}/files/model.glb"}}
    ticket = await begun(plug, request)
    server.finish("fal-1")
    async with FalProvider(config, fetcher) as other:
        assert isinstance(await other.check(ticket, replace(request, inputs=()), Handle()), Done)
    assert len(server.orders) == 1


@pytest.mark.parametrize("ticket", ["", "a/b:../../x", "a/b:x/y", "x y", "a/b/c:x"])
async def test_check_when_a_ticket_is_none_asks_nobody(
    plug: FalProvider, server: FalStub, tmp_path: Path, ticket: str
) -> None:
    with pytest.raises(ProviderRejected):
        await plug.check(ticket, order(tmp_path), Handle())
    with pytest.raises(ProviderRejected):
        await plug.cancel(ticket)
    assert server.calls == []


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.refuse(429, {"detail": "Too many"}), ProviderRateLimited),
        (vendor.refuse(401, {"detail": "No"}), ProviderUnauthorized),
        (vendor.refuse(403, {"detail": "Forbidden"}), ProviderUnauthorized),
        (
            vendor.refuse(403, {"detail": "User is locked. Reason: Exhausted balance."}),
            ProviderOutOfCredit,
        ),
        (vendor.refuse(404, {"detail": "Application not found"}), ProviderRejected),
        (vendor.refuse(422, {"detail": "prompt is required"}), ProviderBadInput),
        (vendor.refuse(500, {"detail": "Internal"}), ProviderError),
        (vendor.refuse(500, b"<html>"), UnknownOutcome),
        (vendor.refuse(503, b"busy"), ProviderError),
        (vendor.refuse(502, b"<html>"), UnknownOutcome),
        (vendor.refuse(504, b"<html>"), UnknownOutcome),
        (vendor.cut, UnknownOutcome),
        (vendor.hang, UnknownOutcome),
        (vendor.hang_after_headers, UnknownOutcome),
        (vendor.hang_in_body, UnknownOutcome),
        (vendor.cut_in_body, UnknownOutcome),
        (vendor.lose_answer, UnknownOutcome),
        (vendor.garbage, UnknownOutcome),
        (vendor.no_json, UnknownOutcome),
        (vendor.html, UnknownOutcome),
        (vendor.endless, UnknownOutcome),
        (vendor.drip(0.1), UnknownOutcome),
    ],
)
async def test_start_when_it_fails_says_whether_it_may_have_been_paid_and_asks_once(
    plug: FalProvider,
    server: FalStub,
    tmp_path: Path,
    fault: vendor.Fault,
    error: type[SafelightError],
) -> None:
    server.fault("POST", SUBMIT, fault)
    with pytest.raises(SafelightError) as failed:
        await plug.start(order(tmp_path), Handle())
    assert type(failed.value) is error
    assert len(server.orders) == 1


async def test_start_when_it_is_told_to_wait_says_how_long(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.fault("POST", SUBMIT, vendor.refuse(429, b"", Retry_After="7"))
    with pytest.raises(ProviderRateLimited) as failed:
        await plug.start(order(tmp_path), Handle())
    assert failed.value.retry_after == timedelta(seconds=7)


async def test_start_when_nobody_listens_says_that_nothing_was_begun(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    async with FalProvider(FalConfig(KEY, "http://127.0.0.1:9"), fetcher) as plug:
        with pytest.raises(ProviderError) as failed:
            await plug.start(order(tmp_path), Handle())
    assert type(failed.value) is ProviderError


@pytest.mark.parametrize("where", ["status", "result"])
@pytest.mark.parametrize(
    "fault",
    [
        vendor.refuse(500),
        vendor.refuse(502),
        vendor.cut,
        vendor.hang,
        vendor.hang_in_body,
        vendor.garbage,
        vendor.endless,
    ],
)
async def test_check_when_it_cannot_be_asked_passes_and_is_done_the_next_time(
    plug: FalProvider, server: FalStub, tmp_path: Path, where: str, fault: vendor.Fault
) -> None:
    request = order(tmp_path)
    ticket = await begun(plug, request)
    server.finish("fal-1")
    server.fault("GET", r".*/requests/fal-1" + ("/status" if where == "status" else ""), fault)
    with pytest.raises(ProviderError) as failed:
        await plug.check(ticket, request, Handle())
    assert type(failed.value) is ProviderError
    assert isinstance(await plug.check(ticket, request, Handle()), Done)
    assert len(server.orders) == 1


VALIDATION = {
    "detail": [{"loc": ["body", "image_url"], "msg": "too small", "type": "image_too_small"}]
}
POLICY = {
    "detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]
}


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (VALIDATION, ProviderBadInput),
        (POLICY, ProviderRefused),
        ({"detail": "Boom", "error_type": "internal_server_error"}, ProviderWorkFailed),
        ({"detail": "Slow", "error_type": "generation_timeout"}, ProviderWorkFailed),
        ({"detail": "The model says no"}, ProviderRejected),
    ],
)
async def test_check_when_the_work_failed_says_why_by_webhook_and_by_status(
    plug: FalProvider,
    server: FalStub,
    tmp_path: Path,
    failure: dict[str, Any],
    error: type[SafelightError],
) -> None:
    server.failure = failure
    request = order(tmp_path)
    ticket = await begun(plug, request)
    server.finish("fal-1")
    news = encode(server.told(server.works["fal-1"]))
    heard = await plug.check(ticket, request, Handle(HOOK, news))
    seen = await plug.check(ticket, request, Handle())
    for verdict in (heard, seen):
        assert isinstance(verdict, Failed)
        assert type(verdict.error) is error
        # Faults of fal's machines are not charged; of others it is not said.
        assert verdict.cost_micros == (0 if error is ProviderWorkFailed else None)
    assert isinstance(seen, Failed)
    assert seen.usage.seconds == 1.5


async def test_check_when_its_status_tells_of_a_failure_believes_it(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    request = order(tmp_path)
    ticket = await begun(plug, request)
    told = {"status": "COMPLETED", "error": "It ran away", "error_type": "runner_disconnected"}
    server.fault("GET", ".*/status", vendor.refuse(200, told))
    verdict = await plug.check(ticket, request, Handle())
    assert isinstance(verdict, Failed)
    assert isinstance(verdict.error, ProviderWorkFailed)
    assert verdict.cost_micros == 0


@pytest.mark.parametrize(
    ("status", "body", "is_verdict"),
    [
        (422, VALIDATION, True),
        (422, {}, False),
        (504, {"detail": "Slow", "error_type": "generation_timeout"}, True),
        (500, {"detail": "Boom", "error_type": "internal_server_error"}, False),
        (401, {"detail": "No", "error_type": "unauthorized"}, False),
        (404, {"detail": "Request not found"}, False),
    ],
)
async def test_check_when_the_result_is_refused_tells_the_models_word_from_fals(
    plug: FalProvider,
    server: FalStub,
    tmp_path: Path,
    status: int,
    body: dict[str, Any],
    is_verdict: bool,
) -> None:
    request = order(tmp_path)
    ticket = await begun(plug, request)
    server.finish("fal-1")
    server.fault("GET", ".*/requests/fal-1", vendor.refuse(status, body))
    if is_verdict:
        assert isinstance(await plug.check(ticket, request, Handle()), Failed)
        return
    with pytest.raises(ProviderError):
        await plug.check(ticket, request, Handle())
    assert isinstance(await plug.check(ticket, request, Handle()), Done)


async def test_check_when_the_input_was_refused_names_the_field(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.failure = VALIDATION
    verdict = await failed(plug, server, order(tmp_path))
    assert "image_url: too small" in verdict.error.detail


async def test_check_when_a_request_is_not_known_any_more_is_no_verdict(
    plug: FalProvider, tmp_path: Path
) -> None:
    with pytest.raises(ProviderRejected):
        await plug.check("fal-ai/flux:gone", order(tmp_path), Handle())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.html, MediaUnsupported),
        (vendor.refuse(404), FetchRefused),
    ],
)
async def test_check_when_a_file_is_none_says_so(
    plug: FalProvider,
    server: FalStub,
    tmp_path: Path,
    fault: vendor.Fault,
    error: type[SafelightError],
) -> None:
    server.fault("GET", "/files/.*", fault)
    with pytest.raises(error):
        await ended(plug, server, order(tmp_path))


async def test_check_when_a_spelled_out_file_is_damaged_says_so(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.output = {"images": [{"url": "data:image/png;base64,###"}]}
    with pytest.raises(MediaTruncated):
        await ended(plug, server, order(tmp_path))


async def test_check_when_nothing_was_made_says_so(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.output = {"images": []}
    assert "without a picture" in (await failed(plug, server, order(tmp_path))).error.detail
    server.output = {"task_id": "t"}
    verdict = await failed(plug, server, order(tmp_path, TRIPO, input_of(tmp_path)))
    assert "without a 3D model" in verdict.error.detail


# --- cancel -------------------------------------------------------------------------------------


async def test_cancel_when_it_is_under_way_is_confirmed_once_it_has_ended(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.cancel_lag = 1
    request = order(tmp_path)
    ticket = await begun(plug, request)
    assert await plug.cancel(ticket) == Canceled(confirmed=False)  # only requested
    assert await plug.cancel(ticket) == Canceled(confirmed=True)
    assert server.works["fal-1"].is_canceled
    verdict = await plug.check(ticket, request, Handle())
    assert isinstance(verdict, Failed)
    assert "cancelled" in verdict.error.detail


@pytest.mark.parametrize(
    ("word", "canceled"),
    [
        ("OK", Canceled(cost_micros=0)),
        ("NOT_FOUND", Canceled()),
        ("ALREADY_COMPLETED", Canceled()),
    ],
)
async def test_cancel_when_fal_has_a_word_for_the_end_believes_it(
    plug: FalProvider, server: FalStub, tmp_path: Path, word: str, canceled: Canceled
) -> None:
    ticket = await begun(plug, order(tmp_path))
    server.fault("PUT", ".*/cancel", vendor.refuse(400, {"status": word}))
    server.fault("GET", ".*/status", vendor.refuse(404))  # as it is not kept for long
    assert await plug.cancel(ticket) == canceled


async def test_cancel_when_it_has_ended_tells_how_long_it_ran(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    ticket = await begun(plug, order(tmp_path))
    server.finish("fal-1")
    assert await plug.cancel(ticket) == Canceled(usage=Usage(seconds=1.5))
    assert await plug.cancel("fal-ai/flux:gone") == Canceled()


async def test_cancel_when_only_a_webhook_told_of_it_finds_out_whose_it_is(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    await begun(plug, order(tmp_path, TRIPO, input_of(tmp_path)))
    assert await plug.cancel("fal-1") == Canceled()
    assert server.works["fal-1"].cancels == 1
    assert {call.path for call in server.called("PUT", ".*")} == {
        "/fal-ai/flux/requests/fal-1/cancel",
        "/tripo3d/tripo/requests/fal-1/cancel",
    }


async def test_cancel_when_fal_fails_may_be_tried_again(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    ticket = await begun(plug, order(tmp_path))
    server.fault("PUT", ".*/cancel", vendor.refuse(500))
    with pytest.raises(ProviderError):
        await plug.cancel(ticket)


# --- lost starts --------------------------------------------------------------------------------


async def lost(plug: FalProvider, server: FalStub, request: ProviderRequest) -> LostStart:
    server.fault("POST", SUBMIT, vendor.lose_answer)
    with pytest.raises(UnknownOutcome):
        await plug.start(request, Handle())
    return LostStart("att_test", datetime.now(UTC), replace(request, inputs=()))


async def test_look_up_when_pictures_came_along_knows_the_order_by_its_seed(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    request = order(tmp_path, TRIPO, input_of(tmp_path), seed=7)
    request = replace(request, kind=Kind.IMAGE_TO_3D)
    start = await lost(plug, server, request)
    assert await plug.look_up(start) == "tripo3d/tripo:fal-1"
    assert "image_url" in server.works["fal-1"].body
    await plug.start(replace(request, params={**request.params, "seed": 8}), Handle())
    assert await plug.look_up(start) == "tripo3d/tripo:fal-1"


async def test_look_up_when_the_account_keeps_no_payloads_finds_nothing(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    start = await lost(plug, server, order(tmp_path))
    items = [{"request_id": "fal-1", "sent_at": start.sent_at.isoformat()}, {}, 7]
    server.fault("GET", "/platform/.*", vendor.refuse(200, {"items": items, "has_more": False}))
    assert await plug.look_up(start) is None


async def test_look_up_when_no_platform_is_known_asks_nobody(
    config: FalConfig, fetcher: Fetcher, server: FalStub, tmp_path: Path
) -> None:
    async with FalProvider(replace(config, platform_url=""), fetcher) as plug:
        assert await plug.look_up(await lost(plug, server, order(tmp_path))) is None
    assert server.called("GET", ".*") == []


# --- webhooks -----------------------------------------------------------------------------------


def call_of(server: FalStub, body: bytes, *, at: float = NOW.timestamp()) -> Callback:
    return Callback(server.sign(body, at), body, "att_1")


async def test_webhook_when_it_tells_the_end_needs_no_look(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    request = order(tmp_path)
    ticket = await begun(plug, request, Handle(HOOK))
    body = encode(server.told(server.works["fal-1"]))
    assert await plug.parse_callback(call_of(server, body)) == News("att_1", "fal-1", True)
    done = await plug.check(ticket, request, Handle(HOOK, body))
    assert isinstance(done, Done)
    assert server.looks == []
    assert server.called("GET", r"/[^/]+/[^/]+/requests/.*") == []


async def test_webhook_when_the_output_was_too_much_for_it_leads_to_the_result(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.in_webhook = False
    request = order(tmp_path)
    ticket = await begun(plug, request, Handle(HOOK))
    server.finish("fal-1")
    body = encode(server.told(server.works["fal-1"]))
    assert isinstance(await plug.check(ticket, request, Handle(HOOK, body)), Done)
    assert server.looks == []


async def test_webhook_when_the_answer_to_the_start_was_lost_is_enough_to_go_on(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    server.fault("POST", SUBMIT, vendor.lose_answer)
    request = order(tmp_path)
    with pytest.raises(UnknownOutcome):
        await plug.start(request, Handle(HOOK))
    server.finish("fal-1")
    body = encode(server.told(server.works["fal-1"]))
    news = await plug.parse_callback(call_of(server, body))
    assert news.ticket == "fal-1"
    assert plug.adopts_within > timedelta()
    assert isinstance(await plug.check("fal-1", request, Handle(HOOK)), Done)
    assert (await plug.cancel("fal-1")).confirmed


async def test_webhook_when_it_is_about_another_request_only_leads_to_a_look(
    plug: FalProvider, server: FalStub, tmp_path: Path
) -> None:
    request = order(tmp_path)
    ticket = await begun(plug, request, Handle(HOOK))
    other = encode({"request_id": "fal-9", "status": "OK", "payload": {"images": []}})
    assert isinstance(await plug.check(ticket, request, Handle(HOOK, other)), Pending)
    assert len(server.looks) == 1


def _unsigned(headers: dict[str, str]) -> dict[str, str]:
    return {}


def _renamed(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"x-fal-webhook-request-id": "req_2"}


def _later(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"x-fal-webhook-timestamp": str(int(NOW.timestamp()) + 1)}


def _odd(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"x-fal-webhook-signature": "zz"}


def _short(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"x-fal-webhook-signature": "00" * 10}


def _timeless(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"x-fal-webhook-timestamp": "now"}


@pytest.mark.parametrize("forge", [_unsigned, _renamed, _later, _odd, _short, _timeless])
async def test_webhook_when_it_is_forged_is_refused(
    plug: FalProvider, server: FalStub, forge: Any
) -> None:
    body = encode({"request_id": "fal-1", "status": "OK"})
    headers = forge(server.sign(body, NOW.timestamp()))
    with pytest.raises(Forbidden):
        await plug.parse_callback(Callback(headers, body, "att_1"))


async def test_webhook_when_its_body_was_changed_is_refused(
    plug: FalProvider, server: FalStub
) -> None:
    body = encode({"request_id": "fal-1", "status": "OK"})
    headers = server.sign(body, NOW.timestamp())
    with pytest.raises(Forbidden):
        await plug.parse_callback(Callback(headers, body + b" ", "att_1"))


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_webhook_when_it_is_stale_is_refused_without_asking_for_keys(
    plug: FalProvider, server: FalStub, seconds: int
) -> None:
    body = encode({"request_id": "fal-1"})
    with pytest.raises(Forbidden, match="stale"):
        await plug.parse_callback(call_of(server, body, at=NOW.timestamp() + seconds))
    assert server.calls == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"request_id": "a/b"}', b"\xff"])
async def test_webhook_when_it_names_no_request_is_refused(
    plug: FalProvider, server: FalStub, body: bytes
) -> None:
    with pytest.raises(Forbidden):
        await plug.parse_callback(call_of(server, body))


async def test_keys_when_they_are_known_are_not_asked_for_again_within_a_day(
    plug: FalProvider, server: FalStub, clock: Clock
) -> None:
    body = encode({"request_id": "fal-1"})
    for _ in range(3):
        await plug.parse_callback(call_of(server, body))
    assert len(server.called("GET", "/keys")) == 1
    clock.now = NOW + timedelta(hours=25)
    await plug.parse_callback(call_of(server, body, at=clock.now.timestamp()))
    assert len(server.called("GET", "/keys")) == 2


async def test_keys_when_they_change_are_asked_for_again_but_not_at_every_forgery(
    plug: FalProvider, server: FalStub, clock: Clock
) -> None:
    body = encode({"request_id": "fal-1"})
    await plug.parse_callback(call_of(server, body))
    old, server.signer = server.signer, Ed25519PrivateKey.generate()
    for _ in range(3):
        with pytest.raises(Forbidden):
            await plug.parse_callback(call_of(server, body))
    assert len(server.called("GET", "/keys")) == 1
    server.published = [old, server.signer]
    clock.now = NOW + timedelta(seconds=31)
    await plug.parse_callback(call_of(server, body))
    assert len(server.called("GET", "/keys")) == 2


@pytest.mark.parametrize(
    "fault", [vendor.refuse(500), vendor.html, vendor.cut, vendor.refuse(200, {"keys": [{}]})]
)
async def test_keys_when_they_cannot_be_had_let_fal_try_again_later(
    plug: FalProvider, server: FalStub, clock: Clock, fault: vendor.Fault
) -> None:
    body = encode({"request_id": "fal-1"})
    server.fault("GET", "/keys", fault)
    for _ in range(2):
        with pytest.raises(ProviderError):
            await plug.parse_callback(call_of(server, body))
    assert len(server.called("GET", "/keys")) == 1
    clock.now = NOW + timedelta(seconds=31)
    await plug.parse_callback(call_of(server, body))


async def test_keys_when_others_stand_beside_them_are_found(
    plug: FalProvider, server: FalStub
) -> None:
    other = {"kty": "RSA", "n": "x"}
    broken = {"kty": "OKP", "crv": "Ed25519", "x": "AA"}
    listed = [jwk(server.signer)]
    server.fault("GET", "/keys", vendor.refuse(200, {"keys": [other, broken, *listed]}))
    body = encode({"request_id": "fal-1"})
    assert (await plug.parse_callback(call_of(server, body))).is_proven


# --- the models ---------------------------------------------------------------------------------


def test_models_when_listed_are_distinct_and_never_begun_twice() -> None:
    offers = [model.offer for model in MODELS]
    assert len({offer.id for offer in offers}) == len(offers)
    assert not any(offer.repeatable for offer in offers)
    assert all(offer.price is None for offer in offers)
    assert {offer.max_inputs for offer in offers if offer.id in (IMAGE, TRIPO, VIEWS)} == {0, 1, 4}


# --- the account --------------------------------------------------------------------------------


async def test_verify_when_the_key_is_good_costs_nothing(
    plug: FalProvider, server: FalStub
) -> None:
    assert await plug.verify() == "the key is valid"
    assert server.orders == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [(vendor.refuse(401), ProviderUnauthorized), (vendor.refuse(500), ProviderError)],
)
async def test_verify_when_it_is_not_let_in_says_so(
    plug: FalProvider, server: FalStub, fault: vendor.Fault, error: type[SafelightError]
) -> None:
    server.fault("GET", ".*/status", fault)
    with pytest.raises(error):
        await plug.verify()

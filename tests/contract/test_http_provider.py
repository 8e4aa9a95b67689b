"""The plug for configured services, with every shape of service and every failure."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from safelight.errors import Forbidden, SafelightError, StorageFull
from safelight.fetch import Fetcher, FetchPolicy
from safelight.fetch.errors import FetchRefused, UrlNotAllowed
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnauthorized,
    UnknownOutcome,
)
from safelight.providers.provider import (
    ABSENT,
    Callback,
    Canceled,
    Done,
    Failed,
    InputFile,
    Kind,
    Lane,
    LostStart,
    Model,
    News,
    Pending,
    ProviderRequest,
    Role,
)
from safelight.providers.remote.http_service import HttpProvider, HttpService, Later, Signing
from tests import pictures
from tests.servers import free_port
from tests.stubs import vendor
from tests.stubs.http_service import SECRET, ServiceStub, encode, sign

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MODEL = Model(
    id="house/draw",
    provider="house",
    title="House",
    description="Our own service.",
    kinds=frozenset({Kind.TEXT_TO_IMAGE, Kind.IMAGE_TO_IMAGE}),
    lane=Lane.REMOTE,
    params_schema={
        "type": "object",
        "properties": {"seed": {}, "steps": {}, "hd": {}},
        "additionalProperties": False,
    },
    timeout=timedelta(seconds=600),
    vendor_id="draw-v2",
)
BODY = {
    "model": "$model",
    "prompt": "$prompt",
    "options": {"seed": "$params.seed", "steps": "$params.steps", "fixed": [1, None, "$$5"]},
    "image": "$input.0.base64",
    "images": "$inputs.data_uri",
    "mask": "$input.mask.base64",
    "hook": "$callback_url",
}


class Handle:
    """An attempt that is called back, and has heard `news`."""

    id = "att_test"

    def __init__(self, callback_url: str | None = None, news: bytes | None = None) -> None:
        self.callback_url = callback_url
        self.news = news

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        """Take no note."""


@pytest.fixture
async def server() -> AsyncIterator[ServiceStub]:
    async with ServiceStub(pictures.picture("png")).running() as running:
        yield running


@pytest.fixture
async def fetcher(server: ServiceStub) -> AsyncIterator[Fetcher]:
    policy = FetchPolicy(allow_private=True, ports=frozenset({server.port}))
    async with Fetcher(policy) as opened:
        yield opened


def service(server: ServiceStub, route: str, **more: Any) -> HttpService:
    settings = {"body": {"prompt": "$prompt"}, "models": (MODEL,), "timeout_s": 5.0, **more}
    return HttpService("house", f"{server.url}/{route}", **settings)


def jobs(server: ServiceStub, **more: Any) -> HttpService:
    """Return a service that answers later."""
    told = {
        "result_url": more.pop("result_url", ""),
        "cancel_url": more.pop("cancel_url", f"{server.url}/jobs/$ticket"),
        "find_url": more.pop("find_url", ""),
    }
    later = Later("id", f"{server.url}/jobs/$ticket", status="state", progress="done", **told)
    return service(server, "jobs", **{"media": "images.*.url", "later": later, **more})


def called_back(server: ServiceStub, **more: Any) -> HttpService:
    body = {"prompt": "$prompt", "hook": "$callback_url"}
    return jobs(server, body=body, signing=Signing(SECRET), **more)


def order(tmp_path: Path, *inputs: InputFile, **params: Any) -> ProviderRequest:
    return ProviderRequest(
        Kind.TEXT_TO_IMAGE, MODEL.id, "a red cat", params, inputs, tmp_path / "scratch"
    )


def plug_of(described: HttpService, fetcher: Fetcher) -> HttpProvider:
    return HttpProvider(described, fetcher, clock=lambda: NOW)


async def make(described: HttpService, fetcher: Fetcher, request: ProviderRequest) -> Done:
    """Return what is made, fetched by another process where it lies elsewhere."""
    async with plug_of(described, fetcher) as plug:
        answer = await plug.start(request, Handle())
    if isinstance(answer, Pending):
        assert answer.check_after == timedelta()
        async with plug_of(described, fetcher) as another:
            answer = await another.check(answer.ticket, request, Handle())
    assert isinstance(answer, Done)
    return answer


async def failed(described: HttpService, fetcher: Fetcher, request: ProviderRequest) -> Failed:
    async with plug_of(described, fetcher) as plug:
        answer = await plug.start(request, Handle())
    assert isinstance(answer, Failed)
    return answer


# --- at once ------------------------------------------------------------------------------------


async def test_start_when_the_answer_is_the_file_keeps_it(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    headers = {"Authorization": "Bearer house"}
    made = await make(service(server, "bytes", headers=headers), fetcher, order(tmp_path))
    assert [output.path.read_bytes() for output in made.outputs] == [server.picture]
    assert made.outputs[0].media_type == "image/png"
    assert server.calls[0].headers["authorization"] == "Bearer house"
    assert server.calls[0].headers["idempotency-key"] == "att_test"


async def test_start_when_the_answer_names_addresses_brings_them_in_order(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    described = service(
        server, "urls", media="images.*.url", facts={"seed": "meta.seed", "none": "meta.none"}
    )
    made = await make(described, fetcher, order(tmp_path))
    assert [call.path for call in server.calls] == ["/urls", "/files/0.png", "/files/1.png"]
    assert len(made.outputs) == 2
    assert not any(output.source_url or output.name for output in made.outputs)
    assert made.facts == {"seed": "7"}


async def test_start_when_the_answer_spells_files_out_keeps_them(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    made = await make(service(server, "base64", media="data.*.b64"), fetcher, order(tmp_path))
    assert [output.path.read_bytes() for output in made.outputs] == [server.picture] * 2


async def test_start_when_the_answer_gives_names_asks_for_them_below_our_address(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    described = service(server, "names", media="names.*", file_url=f"{server.url}/files/$file")
    await make(described, fetcher, order(tmp_path))
    assert server.calls[1].path == "/files/out/a b.png"


async def test_start_when_a_name_leads_out_of_the_folder_refuses_it(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    described = service(server, "names", media="names.*", file_url=f"{server.url}/files/$file")
    server.fault("POST", "/names", vendor.refuse(200, {"names": ["../secret.png"]}))
    verdict = await failed(described, fetcher, order(tmp_path))
    assert "invalid file name" in verdict.error.detail
    assert len(server.calls) == 1


async def test_start_when_an_address_lies_where_downloads_may_not_go_refuses_it(
    server: ServiceStub, tmp_path: Path
) -> None:
    async with Fetcher(FetchPolicy(ports=frozenset({server.port}))) as strict:
        with pytest.raises(UrlNotAllowed):
            await make(service(server, "urls", media="images.*.url"), strict, order(tmp_path))


async def test_start_when_the_service_takes_a_get_sends_a_query(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    query = {"q": "$prompt", "seed": "$params.seed", "hd": "$params.hd", "size": "large"}
    described = service(server, "bytes", method="GET", body=None, query=query)
    await make(described, fetcher, order(tmp_path, hd=True))
    assert server.calls[0].query == {"q": "a red cat", "hd": "true", "size": "large"}
    assert server.calls[0].body == b""


async def test_start_when_the_template_is_rich_fills_it_and_leaves_out_what_is_missing(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    described = called_back(server, media="images.*.url")
    described = replace(described, body=BODY)
    async with plug_of(described, fetcher) as plug:
        await plug.start(order(tmp_path, seed=7), Handle("https://us.example/callbacks/x"))
    assert server.calls[0].json == {
        "model": "draw-v2",
        "prompt": "a red cat",
        "options": {"seed": 7, "fixed": [1, None, "$5"]},
        "hook": "https://us.example/callbacks/x",
    }


async def test_start_when_there_are_inputs_sends_them_as_the_template_says(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(server.picture)
    files = [InputFile(path, "image/png", "cat.png", role) for role in (Role.MASK, Role.REFERENCE)]
    described = service(server, "bytes", body={**BODY, "hook": "no"})
    await make(described, fetcher, order(tmp_path, *files))
    sent = server.calls[0].json
    assert (sent["image"], sent["mask"]) == (server.spelled, server.spelled)
    assert sent["images"] == [f"data:image/png;base64,{server.spelled}"]


async def test_start_when_the_inputs_are_too_large_sends_nothing(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(server.picture)
    described = service(server, "bytes", max_input_bytes=10)
    with pytest.raises(ProviderBadInput):
        await make(described, fetcher, order(tmp_path, InputFile(path, "image/png")))
    with pytest.raises(ProviderRejected):
        await make(described, fetcher, replace(order(tmp_path), model="house/none"))
    assert server.calls == []


# --- later --------------------------------------------------------------------------------------


async def test_check_when_the_job_goes_on_and_ends_brings_its_files(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    described = jobs(server, facts={"seed": "meta.seed"})
    async with plug_of(described, fetcher) as plug:
        begun = await plug.start(order(tmp_path), Handle())
    assert begun == Pending("job-1", timedelta(seconds=2), "waiting for the service")
    async with plug_of(described, fetcher) as another:
        running = await another.check("job-1", order(tmp_path), Handle())
        assert running == Pending("job-1", timedelta(seconds=2), "running", 25.0)
        done = await another.check("job-1", order(tmp_path), Handle())
    assert isinstance(done, Done)
    assert [output.path.read_bytes() for output in done.outputs] == [server.picture] * 2
    assert done.facts == {"ticket": "job-1", "seed": "7"}
    assert len(server.called("POST", ".*")) == 1


async def test_check_when_the_result_has_an_address_of_its_own_takes_it_from_there(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.turns = 0
    described = jobs(server, media="", result_url=f"{server.url}/jobs/$ticket/file")
    async with plug_of(described, fetcher) as plug:
        begun = await plug.start(order(tmp_path), Handle())
        assert isinstance(begun, Pending)
        done = await plug.check(begun.ticket, order(tmp_path), Handle())
    assert isinstance(done, Done)
    assert done.outputs[0].path.read_bytes() == server.picture


async def test_start_when_a_service_with_tickets_answers_at_once_is_done(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.fault("POST", "/jobs", vendor.refuse(200, {"id": "job-9", **server.made()}))
    made = await make(jobs(server), fetcher, order(tmp_path))
    assert len(made.outputs) == 2


async def test_start_when_the_ticket_is_a_number_makes_it_text(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.fault("POST", "/jobs", vendor.refuse(201, {"id": 17}))
    async with plug_of(jobs(server), fetcher) as plug:
        begun = await plug.start(order(tmp_path), Handle())
    assert isinstance(begun, Pending)
    assert begun.ticket == "17"


@pytest.mark.parametrize("ticket", ["../admin", "..", "a/b", "", "x" * 300, True, None, {"a": 1}])
async def test_start_when_the_ticket_cannot_be_used_does_not_know_the_outcome(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, ticket: object
) -> None:
    server.fault("POST", "/jobs", vendor.refuse(202, {"id": ticket}))
    async with plug_of(jobs(server), fetcher) as plug:
        with pytest.raises(UnknownOutcome):
            await plug.start(order(tmp_path), Handle())


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ({"state": "failed", "error": "out of memory"}, "out of memory"),
        ({"state": "FAILED", "error": {"code": 3}}, '{"code":3}'),
        ({"state": "cancelled"}, "cancelled"),
        ({"state": "done", "images": []}, "without a file"),
        ({"state": "done", "images": [{"url": 5}]}, "not text"),
    ],
)
async def test_check_when_the_job_has_failed_says_why(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, ending: dict[str, Any], reason: str
) -> None:
    server.ending = ending
    server.finish("job-1")
    async with plug_of(jobs(server), fetcher) as plug:
        verdict = await plug.check("job-1", order(tmp_path), Handle())
    assert isinstance(verdict, Failed)
    assert isinstance(verdict.error, ProviderRejected)
    assert reason in verdict.error.detail


@pytest.mark.parametrize("status", [404, 410])
async def test_check_when_the_service_says_that_it_no_longer_knows_the_job_is_a_verdict(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, status: int
) -> None:
    """By our protocol: only where it names the job, as a wrong address answers 404 too."""
    async with plug_of(jobs(server), fetcher) as plug:
        for body in ({"detail": "Not Found"}, {"id": "job-2"}, ["job-1"]):
            server.fault("GET", "/jobs/.*", vendor.refuse(status, body))
            with pytest.raises(ProviderRejected):
                await plug.check("job-1", order(tmp_path), Handle())
        server.fault("GET", "/jobs/.*", *[vendor.refuse(status, {"id": "job-1"})] * 2)
        verdict = await plug.check("job-1", order(tmp_path), Handle())
        assert isinstance(verdict, Failed)
        server.fault("DELETE", "/jobs/.*", vendor.refuse(status))
        assert await plug.cancel("job-1") == Canceled()


@pytest.mark.parametrize("told", [{"id": "job-2", "state": "done"}, {"id": "job-1"}, {}])
async def test_check_when_the_answer_is_not_about_the_job_has_failed(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, told: dict[str, Any]
) -> None:
    server.fault("GET", "/jobs/.*", vendor.refuse(200, told))
    async with plug_of(jobs(server), fetcher) as plug:
        with pytest.raises(ProviderError):
            await plug.check("job-1", order(tmp_path), Handle())


@pytest.mark.parametrize("ticket", ["job-7", "../admin", "a/b", ""])
async def test_check_when_the_ticket_is_unknown_is_rejected(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, ticket: str
) -> None:
    async with plug_of(jobs(server), fetcher) as plug:
        with pytest.raises(ProviderRejected):
            await plug.check(ticket, order(tmp_path), Handle())
    assert all(call.path == "/jobs/job-7" for call in server.calls)


async def test_check_when_the_service_keeps_no_jobs_is_rejected(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    async with plug_of(service(server, "bytes"), fetcher) as plug:
        with pytest.raises(ProviderRejected):
            await plug.check("job-1", order(tmp_path), Handle())
        with pytest.raises(ProviderRejected):
            await plug.cancel("job-1")
    assert server.calls == []


async def test_cancel_when_the_service_stops_at_once_or_had_ended_is_confirmed(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    async with plug_of(jobs(server), fetcher) as plug:
        for _ in range(2):
            await plug.start(order(tmp_path), Handle())
        server.finish("job-2")
        for ticket in ("job-1", "job-1", "job-2"):
            assert await plug.cancel(ticket) == Canceled()
    assert server.canceled == ["job-1"]


async def test_cancel_when_the_service_only_takes_note_is_confirmed_by_the_status(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.cancel_lag = 1
    async with plug_of(jobs(server), fetcher) as plug:
        await plug.start(order(tmp_path), Handle())
        assert await plug.cancel("job-1") == Canceled(confirmed=False)  # it answers 202
        assert await plug.cancel("job-1") == Canceled()


async def test_cancel_when_the_service_cannot_stop_anything_waits_for_the_end(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    async with plug_of(jobs(server, cancel_url=""), fetcher) as plug:
        await plug.start(order(tmp_path), Handle())
        assert await plug.cancel("job-1") == Canceled(confirmed=False)
        server.finish("job-1")
        assert await plug.cancel("job-1") == Canceled()
    assert server.called("DELETE", ".*") == []


async def test_cancel_when_it_is_refused_while_the_job_goes_on_raises(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    async with plug_of(jobs(server), fetcher) as plug:
        await plug.start(order(tmp_path), Handle())
        server.fault("DELETE", ".*", vendor.refuse(503), vendor.refuse(409))
        for error in (ProviderError, ProviderRejected):
            with pytest.raises(error):
                await plug.cancel("job-1")
        for ticket in ("job-2", "../admin"):
            with pytest.raises(ProviderRejected):
                await plug.cancel(ticket)


# --- lost answers -------------------------------------------------------------------------------


def findable(server: ServiceStub) -> HttpService:
    return jobs(server, find_url=f"{server.url}/orders/$attempt")


def lost_start(tmp_path: Path) -> LostStart:
    return LostStart("att_test", NOW, order(tmp_path))


async def test_look_up_when_the_service_can_be_asked_finds_the_job_or_that_there_is_none(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.fault("POST", "/jobs", vendor.cut, vendor.lose_answer)
    async with plug_of(findable(server), fetcher) as plug:
        assert plug.adopts_within == timedelta(minutes=15)
        for found in (ABSENT, "job-1"):
            with pytest.raises(UnknownOutcome):
                await plug.start(order(tmp_path), Handle())
            assert await plug.look_up(lost_start(tmp_path)) == found


@pytest.mark.parametrize(
    "answer",
    [
        vendor.refuse(404, {"detail": "Not Found"}),
        vendor.refuse(404, {"attempt": "att_other"}),
        vendor.refuse(404, b"<h1>Not Found</h1>"),
        vendor.refuse(200, {"id": "job-1", "attempt": "att_other"}),
        vendor.refuse(200, {"id": "../admin", "attempt": "att_test"}),
        vendor.refuse(200, {"attempt": "att_test"}),
    ],
)
async def test_look_up_when_the_answer_does_not_name_the_order_proves_nothing(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, answer: vendor.Fault
) -> None:
    server.fault("GET", "/orders/.*", answer)
    async with plug_of(findable(server), fetcher) as plug:
        with pytest.raises(ProviderError):
            await plug.look_up(lost_start(tmp_path))


async def test_look_up_when_the_service_has_no_such_address_asks_nobody(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    async with plug_of(jobs(server), fetcher) as plug:
        assert await plug.look_up(lost_start(tmp_path)) is None
        assert plug.adopts_within == timedelta()
    assert server.calls == []


# --- callbacks ----------------------------------------------------------------------------------


async def test_start_when_called_back_looks_seldom_and_is_adopted_for_a_while(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    async with plug_of(called_back(server), fetcher) as plug:
        begun = await plug.start(order(tmp_path), Handle("https://us.example/callbacks/x"))
        assert isinstance(begun, Pending)
        assert begun.check_after == timedelta(seconds=60)
        unreachable = await plug.start(order(tmp_path), Handle())
        assert isinstance(unreachable, Pending)
        assert unreachable.check_after == timedelta(seconds=2)
        assert plug.adopts_within == timedelta(minutes=15)
    assert "hook" not in server.calls[1].json


async def test_parse_callback_when_well_signed_is_proven_and_settles_without_a_look(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    body = encode(server.told("job-1"))
    async with plug_of(called_back(server), fetcher) as plug:
        heard = await plug.parse_callback(Callback(sign(body, NOW.timestamp()), body, "att_test"))
        assert heard == News("att_test", "job-1", is_proven=True)
        done = await plug.check("job-1", order(tmp_path), Handle(news=body))
    assert isinstance(done, Done)
    assert len(done.outputs) == 2
    assert not server.called("GET", "/jobs/.*")


async def test_check_when_a_callback_tells_of_a_failure_believes_it(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    news = encode({"state": "failed", "error": "burnt"})
    async with plug_of(called_back(server), fetcher) as plug:
        verdict = await plug.check("job-1", order(tmp_path), Handle(news=news))
    assert isinstance(verdict, Failed)
    assert "burnt" in verdict.error.detail
    assert server.calls == []


@pytest.mark.parametrize(
    "told",
    [
        {"id": "job-1", "state": "running"},
        {"id": "job-2", "state": "done", "images": [{"url": "http://x.example/"}]},
        {"id": "job-1", "state": "done"},
        ["nonsense"],
    ],
)
async def test_check_when_a_callback_does_not_tell_the_end_asks(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, told: Any
) -> None:
    server.finish("job-1")
    async with plug_of(called_back(server), fetcher) as plug:
        done = await plug.check("job-1", order(tmp_path), Handle(news=encode(told)))
    assert isinstance(done, Done)
    assert len(server.called("GET", "/jobs/job-1")) == 1


BODY_HEARD = encode({"id": "job-1", "state": "done"})
FORGED: dict[str, tuple[dict[str, str], bytes]] = {
    "no signature": ({}, BODY_HEARD),
    "another key": (
        sign(BODY_HEARD, NOW.timestamp(), "whsec_" + "A" * 43 + "="),
        BODY_HEARD,
    ),
    "another body": (sign(BODY_HEARD, NOW.timestamp()), BODY_HEARD + b" "),
    "replayed": (sign(BODY_HEARD, NOW.timestamp() - 301), BODY_HEARD),
    "from the future": (sign(BODY_HEARD, NOW.timestamp() + 301), BODY_HEARD),
    "another time": (
        sign(BODY_HEARD, NOW.timestamp() - 301) | {"webhook-timestamp": str(int(NOW.timestamp()))},
        BODY_HEARD,
    ),
    "no time": (sign(BODY_HEARD, NOW.timestamp()) | {"webhook-timestamp": "soon"}, BODY_HEARD),
    "no JSON": (sign(b"nonsense", NOW.timestamp()), b"nonsense"),
    "a list": (sign(b"[]", NOW.timestamp()), b"[]"),
}


@pytest.mark.parametrize(("headers", "body"), FORGED.values(), ids=FORGED.keys())
async def test_parse_callback_when_not_to_be_believed_is_forbidden(
    server: ServiceStub, fetcher: Fetcher, headers: dict[str, str], body: bytes
) -> None:
    async with plug_of(called_back(server), fetcher) as plug:
        with pytest.raises(Forbidden):
            await plug.parse_callback(Callback(headers, body, "att_test"))


async def test_parse_callback_when_only_the_body_is_signed_leads_to_a_look(
    server: ServiceStub, fetcher: Fetcher
) -> None:
    signing = Signing("a secret of the house", header="X-House-Signature")
    digest = hmac.digest(b"a secret of the house", BODY_HEARD, hashlib.sha256).hex()
    async with plug_of(replace(called_back(server), signing=signing), fetcher) as plug:
        headers = {"x-house-signature": f"sha256={digest}"}
        heard = await plug.parse_callback(Callback(headers, BODY_HEARD, "att_test"))
        assert heard == News("att_test", "job-1", is_proven=False)
        with pytest.raises(Forbidden):
            await plug.parse_callback(Callback(headers, BODY_HEARD + b" ", "att_test"))
        with pytest.raises(Forbidden):
            await plug.parse_callback(Callback({}, BODY_HEARD, "att_test"))


async def test_parse_callback_when_the_service_sends_none_is_forbidden(
    server: ServiceStub, fetcher: Fetcher
) -> None:
    async with plug_of(jobs(server), fetcher) as plug:
        with pytest.raises(Forbidden):
            await plug.parse_callback(
                Callback(sign(BODY_HEARD, NOW.timestamp()), BODY_HEARD, "att_test")
            )
        assert plug.adopts_within == timedelta()


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ProviderBadInput),
        (401, ProviderUnauthorized),
        (402, ProviderOutOfCredit),
        (404, ProviderRejected),
        (422, ProviderBadInput),
        (429, ProviderRateLimited),
        (500, ProviderError),
        (503, ProviderError),
        (502, UnknownOutcome),
        (504, UnknownOutcome),
        (302, ProviderRejected),
    ],
)
async def test_start_when_the_service_refuses_names_why_and_asks_once(
    server: ServiceStub,
    fetcher: Fetcher,
    tmp_path: Path,
    status: int,
    expected: type[SafelightError],
) -> None:
    server.fault("POST", ".*", vendor.refuse(status, {"error": "a reason"}, Retry_After="9"))
    with pytest.raises(SafelightError) as raised:
        await make(service(server, "urls", media="images.*.url"), fetcher, order(tmp_path))
    assert type(raised.value) is expected
    if expected is ProviderRateLimited:
        assert raised.value.retry_after == timedelta(seconds=9)
    assert len(server.calls) == 1


LOST = {
    "silence": vendor.hang,
    "headers only": vendor.hang_after_headers,
    "half a body": vendor.hang_in_body,
    "cut": vendor.cut,
    "work done and cut": vendor.lose_answer,
    "cut in the body": vendor.cut_in_body,
    "no HTTP": vendor.garbage,
    "slow": vendor.drip(0.2),
}


@pytest.mark.parametrize("route", ["bytes", "urls", "jobs"])
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_start_when_the_answer_is_lost_says_so_and_asks_once(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, fault: vendor.Fault, route: str
) -> None:
    server.fault("POST", ".*", fault)
    shapes = {
        "bytes": service(server, "bytes"),
        "urls": service(server, "urls", media="images.*.url"),
        "jobs": jobs(server),
    }
    async with plug_of(replace(shapes[route], timeout_s=0.4), fetcher) as plug:
        with pytest.raises(UnknownOutcome):
            await plug.start(order(tmp_path), Handle())
    assert len(server.calls) == 1


@pytest.mark.parametrize("fault", [vendor.no_json, vendor.html, vendor.endless])
async def test_start_when_a_document_cannot_be_read_does_not_know_the_outcome(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, fault: vendor.Fault
) -> None:
    server.fault("POST", ".*", fault)
    described = service(server, "urls", media="images.*.url", max_answer_bytes=100_000)
    with pytest.raises(UnknownOutcome):
        await make(described, fetcher, order(tmp_path))


async def test_start_when_the_model_may_be_repeated_says_that_it_may_be_tried_again(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.fault("POST", ".*", vendor.lose_answer)
    free = service(server, "bytes", models=(replace(MODEL, repeatable=True),))
    with pytest.raises(ProviderError) as raised:
        await make(free, fetcher, order(tmp_path))
    assert type(raised.value) is ProviderError


@pytest.mark.parametrize(
    "fault", [vendor.html, vendor.refuse(200), vendor.refuse(200, b"%PDF-1.7")]
)
async def test_start_when_the_answer_is_no_picture_does_not_know_the_outcome(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, fault: vendor.Fault
) -> None:
    server.fault("POST", ".*", fault)
    with pytest.raises(UnknownOutcome):
        await make(service(server, "bytes"), fetcher, order(tmp_path))


async def test_start_when_the_document_holds_no_picture_is_a_verdict(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    described = service(server, "base64", media="data.*.b64", error="problem.text")
    for body, why in (
        ({"problem": {"text": "no idea"}}, "no idea"),
        ({"data": [{"b64": "A"}]}, "base64 is invalid"),
        ({"data": [{"b64": 7}]}, "not text"),
        ({}, "made no file"),
    ):
        server.fault("POST", ".*", vendor.refuse(200, body))
        assert why in (await failed(described, fetcher, order(tmp_path))).error.detail
    server.fault("POST", ".*", vendor.refuse(200, {"error": "no idea"}))
    verdict = await failed(service(server, "bytes"), fetcher, order(tmp_path))
    assert "no idea" in verdict.error.detail
    server.fault("POST", ".*", vendor.refuse(202, {"error": "no idea"}))
    verdict = await failed(jobs(server), fetcher, order(tmp_path))
    assert "no idea" in verdict.error.detail


async def test_start_when_a_file_cannot_be_had_leaves_it_to_a_look_and_orders_no_other(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.fault("GET", ".*", vendor.refuse(404))
    described = service(server, "urls", media="images.*.url", facts={"seed": "meta.seed"})
    async with plug_of(described, fetcher) as plug:
        answer = await plug.start(order(tmp_path), Handle())
        assert isinstance(answer, Pending)
        with pytest.raises(FetchRefused):
            await plug.check(answer.ticket, order(tmp_path), Handle())
        done = await plug.check(answer.ticket, order(tmp_path), Handle())
        assert await plug.cancel(answer.ticket) == Canceled()
    assert isinstance(done, Done)
    assert (len(done.outputs), done.facts) == (2, {"seed": "7"})
    assert len(server.called("POST", ".*")) == 1


async def test_start_when_the_addresses_cannot_be_noted_fetches_at_once(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    body = {"images": [{"url": f"{server.url}/files/0.png?{'x' * 3000}"}]}
    described = service(server, "urls", media="images.*.url")
    async with plug_of(described, fetcher) as plug:
        server.fault("POST", ".*", *[vendor.refuse(200, body)] * 2)
        assert isinstance(await plug.start(order(tmp_path), Handle()), Done)
        server.fault("GET", ".*", vendor.refuse(404))
        with pytest.raises(UnknownOutcome, match="could not be downloaded"):
            await plug.start(order(tmp_path), Handle())


async def test_start_when_there_is_no_room_for_an_answer_pays_for_none(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path
) -> None:
    with pytest.raises(StorageFull):
        await make(service(server, "bytes", max_answer_bytes=2**62), fetcher, order(tmp_path))
    assert server.calls == []


@pytest.mark.parametrize(
    "fault",
    [*LOST.values(), vendor.no_json, vendor.html, vendor.refuse(500), vendor.refuse(502)],
)
async def test_check_when_it_goes_wrong_may_be_tried_again(
    server: ServiceStub, fetcher: Fetcher, tmp_path: Path, fault: vendor.Fault
) -> None:
    server.finish("job-1")
    server.fault("GET", "/jobs/.*", fault)
    async with plug_of(replace(jobs(server), timeout_s=0.4), fetcher) as plug:
        with pytest.raises(ProviderError) as raised:
            await plug.check("job-1", order(tmp_path), Handle())
        assert type(raised.value) is ProviderError
        assert isinstance(await plug.check("job-1", order(tmp_path), Handle()), Done)


# --- what can never work ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://house.example/"},
        {"url": "draw"},
        {"body": {"a": ["$promt"]}},
        {"body": {"a": "$input.first.base64"}},
        {"body": {"hook": "$callback_url"}},
        {"query": {"a": "$input.0.bytes"}},
        {"models": (replace(MODEL, provider="other"),)},
        {"signing": Signing(SECRET)},
        {"file_url": "http://house.example/files/"},
        {"later": Later("id", "http://house.example/jobs")},
        {"later": Later("id", "http://$ticket.example/")},
        {
            "later": Later("id", "http://h.example/$ticket", find_url="http://h.example/"),
            "media": "a",
        },
        {"later": Later("", "http://house.example/$ticket"), "media": "a"},
        {"later": Later("id", "http://house.example/$ticket")},
        {"later": Later("id", "http://h.example/$ticket", done=frozenset({"OK"})), "media": "a"},
    ],
)
def test_a_service_when_its_description_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"name": "house", "url": "http://house.example/", "models": (MODEL,)}
    HttpService(**good)
    with pytest.raises(ValueError):  # noqa: PT011  the texts are for people
        HttpService(**(good | wrong))


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_!!", "whsec_QUJD"])
async def test_a_service_when_its_secret_is_weak_is_refused(
    server: ServiceStub, secret: str
) -> None:
    with pytest.raises(ValueError, match="secret"):
        Signing(secret)
    assert SECRET not in repr(called_back(server))


async def test_verify_when_the_service_answers_begins_no_work(
    server: ServiceStub, fetcher: Fetcher
) -> None:
    async with HttpProvider(service(server, "bytes"), fetcher) as plug:
        assert "answers" in await plug.verify()
    async with HttpProvider(jobs(server), fetcher) as plug:  # it knows no such method
        assert "answers" in await plug.verify()
    assert server.orders == []
    assert server.called("POST", ".*") == []


@pytest.mark.parametrize("status", [401, 403, 502, 503])
async def test_verify_when_the_service_refuses_says_so(
    server: ServiceStub, fetcher: Fetcher, status: int
) -> None:
    server.fault("OPTIONS", ".*", vendor.refuse(status))
    async with HttpProvider(service(server, "bytes"), fetcher) as plug:
        with pytest.raises(ProviderError):
            await plug.verify()


async def test_verify_when_the_service_is_stopped_says_so(
    server: ServiceStub, fetcher: Fetcher
) -> None:
    stopped = replace(service(server, "bytes"), url=f"http://127.0.0.1:{free_port()}/bytes")
    async with HttpProvider(stopped, fetcher) as plug:
        with pytest.raises(ProviderError):
            await plug.verify()

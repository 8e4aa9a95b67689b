"""The contract of all provider plugs; each plug's own behavior has a file of its own."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from safelight.errors import Forbidden, SafelightError
from safelight.jobs.params import complete_params
from safelight.providers.errors import (
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderUnauthorized,
    UnknownOutcome,
)
from safelight.providers.provider import (
    ABSENT,
    Callback,
    Done,
    Failed,
    InputFile,
    Kind,
    LostStart,
    Model,
    Pending,
    Provider,
    ProviderRequest,
)
from tests import pictures
from tests.contract.plugs import FAR, NEAR, Bench, Far
from tests.stubs import vendor

MOST_LOOKS = 5


class Handle:
    """An attempt that remembers what was reported."""

    id = "att_test"
    callback_url: str | None = None
    news: bytes | None = None

    def __init__(self) -> None:
        self.heard: list[tuple[float, str]] = []

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        self.heard.append((progress, stage))


@pytest.fixture(params=[*NEAR, *FAR])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with {**NEAR, **FAR}[str(request.param)](tmp_path) as opened:
        yield opened


@pytest.fixture(params=[*FAR])
async def far(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Far]:
    async with FAR[str(request.param)](tmp_path) as opened:
        yield opened


def params_of(model: Model) -> dict[str, Any]:
    return complete_params(model, {})


def order_for(plug: Provider, tmp_path: Path) -> ProviderRequest:
    model = next(
        known
        for known in plug.capabilities()
        if known.kinds & {Kind.TEXT_TO_IMAGE, Kind.IMAGE_TO_3D, Kind.IMPORT_IMAGE}
    )
    scratch, source = tmp_path / "scratch", tmp_path / "source.png"
    scratch.mkdir(exist_ok=True)
    source.write_bytes(pictures.picture("png", 96, 96))
    inputs = (InputFile(source, "image/png", "source.png"),) if plug.name == "inflate" else ()
    return ProviderRequest(
        min(model.kinds, key=lambda kind: kind is not Kind.TEXT_TO_IMAGE),
        model.id,
        "a cat",
        params_of(model),
        inputs,
        scratch,
    )


async def finished(
    plug: Provider, answer: Done | Failed | Pending, request: ProviderRequest
) -> Done:
    """Return the end of work, asked for as often as it takes."""
    for _ in range(MOST_LOOKS):
        if isinstance(answer, Done):
            return answer
        assert isinstance(answer, Pending)
        answer = await plug.check(answer.ticket, request, Handle())
    raise AssertionError(f"not done after {MOST_LOOKS} looks: {answer}")


def test_plugs_when_counted_are_all_that_there_are() -> None:
    root = Path(__file__).parents[2] / "src" / "safelight" / "providers"
    shared = {
        "__init__",
        "__pycache__",
        "adoption",
        "api",
        "finished",
        "plug",
        "results",
        "untrusted",
    }
    found = {path.stem for room in ("local", "remote") for path in (root / room).iterdir()} - shared
    assert {name.removesuffix("_service") for name in found} - {"diffusers"} == {*NEAR, *FAR}, (
        "diffusers has a group of tests of its own"
    )


async def test_capabilities_when_asked_are_valid_and_stable(bench: Bench) -> None:
    models = bench.plug.capabilities()
    assert models == bench.plug.capabilities()
    assert max(Counter(model.id for model in models).values()) == 1
    for model in models:
        assert model.provider == bench.plug.name
        assert model.kinds
        assert model.title
        assert model.description
        assert model.timeout.total_seconds() > 0
        jsonschema_rs.validator_for(orjson.loads(orjson.dumps(model.params_schema)))
        assert model.params_schema["additionalProperties"] is False
        params_of(model)


async def test_check_and_cancel_when_the_ticket_is_strange_raise_only_typed_errors(
    bench: Bench, tmp_path: Path
) -> None:
    request = order_for(bench.plug, tmp_path)
    # A plug may know nothing of it and say so, or look and find it done; never anything else.
    for ticket in ("no such ticket", "../../etc/passwd", "{}", "", "\x00"):
        with contextlib.suppress(SafelightError):
            answer = await bench.plug.check(ticket, request, Handle())
            assert isinstance(answer, Done | Pending), "nobody gave a verdict"
        with contextlib.suppress(SafelightError):
            await bench.plug.cancel(ticket)


async def test_start_when_the_request_is_good_leaves_its_outputs_in_scratch(
    bench: Bench, tmp_path: Path
) -> None:
    plug = bench.plug
    if plug.name == "link":
        return  # its outputs need a server: see test_link_provider.py
    request = order_for(plug, tmp_path)
    handle = Handle()
    answer = await finished(plug, await plug.start(request, handle), request)
    assert answer.outputs
    for output in answer.outputs:
        assert output.path.is_relative_to(request.scratch)
        assert output.path.stat().st_size > 0
        orjson.dumps(dict(output.facts))
    assert all(0 <= percent <= 100 for percent, _ in handle.heard)
    if bench.vendor is None:
        assert answer.cost_micros is None  # the price says it: it is free
    else:
        assert answer.cost_micros != 0, "what is not known is not free"


async def test_callback_when_nobody_proves_it_is_forbidden(bench: Bench) -> None:
    for body in (b"", b"{}", b'{"id": "x", "status": "OK"}', b"\xff\x00", b"[" * 10_000):
        with pytest.raises(Forbidden):
            await bench.plug.parse_callback(Callback({}, body, "att_test"))


# --- plugs of others' servers -------------------------------------------------------------------


async def test_ticket_when_another_process_has_it_is_resumed(far: Far, tmp_path: Path) -> None:
    request = order_for(far.plug, tmp_path)
    answer = await far.plug.start(request, Handle())
    assert far.again is not None
    async with far.again() as other:
        assert (await finished(other, answer, request)).outputs


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vendor.refuse(401), ProviderUnauthorized),
        (vendor.refuse(402), ProviderOutOfCredit),
        (vendor.refuse(429), ProviderRateLimited),
        (vendor.refuse(429, Retry_After="7"), ProviderRateLimited),
        # Of a server in between, which not every vendor has: either it is known, or it is not.
        (vendor.refuse(500), ProviderError),
        (vendor.refuse(503, b"<html>down</html>"), ProviderError),
        (vendor.hang, UnknownOutcome),
        (vendor.cut, UnknownOutcome),
        (vendor.lose_answer, UnknownOutcome),
        (vendor.garbage, UnknownOutcome),
        (vendor.no_json, UnknownOutcome),
        (vendor.html, UnknownOutcome),
        (vendor.hang_after_headers, UnknownOutcome),
        (vendor.hang_in_body, UnknownOutcome),
        (vendor.cut_in_body, UnknownOutcome),
        (vendor.drip(0.2), UnknownOutcome),
    ],
)
async def test_start_when_the_vendor_fails_says_how_and_sends_nothing_twice(
    far: Far, tmp_path: Path, fault: vendor.Fault, error: type[SafelightError]
) -> None:
    assert far.vendor is not None
    far.vendor.fault("POST", far.pays, fault)
    with pytest.raises(error) as caught:
        await far.plug.start(order_for(far.plug, tmp_path), Handle())
    if error not in (ProviderError, UnknownOutcome):
        assert type(caught.value) is error
    assert len(far.vendor.called("POST", far.pays)) == 1
    if error is ProviderRateLimited and caught.value.retry_after is not None:
        assert caught.value.retry_after.total_seconds() == 7
    assert list((tmp_path / "scratch").rglob("*.part")) == []


async def test_start_when_nobody_listens_may_be_begun_anew(far: Far, tmp_path: Path) -> None:
    """A request that could not be sent was not paid for."""
    assert far.vendor is not None
    request = order_for(far.plug, tmp_path)
    await far.vendor.close()
    with pytest.raises(ProviderError) as caught:
        await far.plug.start(request, Handle())
    assert not isinstance(caught.value, UnknownOutcome)


# --- looks that fail, and verdicts ---------------------------------------------------------------

REFUSED = {
    str(status): vendor.refuse(status)
    for status in (400, 401, 402, 403, 404, 410, 429, 500, 502, 503)
}
WORDED = {
    f"{status} with words": vendor.refuse(status, {"detail": "Not now.", "error": "Not now."})
    for status in (400, 401, 403, 404, 410, 500)
}
BROKEN = {
    "silence": vendor.hang,
    "half a body": vendor.hang_in_body,
    "cut": vendor.cut,
    "cut in the body": vendor.cut_in_body,
    "no HTTP": vendor.garbage,
    "no JSON": vendor.no_json,
    "a page": vendor.html,
    "something else": vendor.refuse(200, {"id": "another", "state": "failed"}),
    "an empty object": vendor.refuse(200, {}),
}
EVERY_FAULT = {**REFUSED, **WORDED, **BROKEN}
LOOKS = [
    (name, place)
    for name, count in {"openai": 1, "fal": 3, "replicate": 2, "http": 2, "sagemaker": 1}.items()
    for place in range(count)
]


async def waiting(far: Far, request: ProviderRequest) -> str:
    """Return the ticket of an order that is under way."""
    far.defer()
    answer = await far.plug.start(request, Handle())
    assert isinstance(answer, Pending)
    return answer.ticket


@pytest.mark.parametrize("fault", EVERY_FAULT.values(), ids=EVERY_FAULT.keys())
@pytest.mark.parametrize(("name", "place"), LOOKS)
async def test_check_when_the_look_fails_says_nothing_about_the_work(
    tmp_path: Path, name: str, place: int, fault: vendor.Fault
) -> None:
    async with FAR[name](tmp_path) as far:
        request = order_for(far.plug, tmp_path)
        ticket = await waiting(far, request)
        far.finish(ticket)
        far.books.fault("GET", far.looks[place], fault)
        # In S3 alone a 404 has a meaning: there is nothing yet.
        is_not_yet = name == "sagemaker" and fault in (REFUSED["404"], WORDED["404 with words"])
        if is_not_yet:
            assert isinstance(await far.plug.check(ticket, request, Handle()), Pending)
        else:
            with pytest.raises(SafelightError) as caught:
                await far.plug.check(ticket, request, Handle())
            assert not isinstance(caught.value, UnknownOutcome)
        assert isinstance(await far.plug.check(ticket, request, Handle()), Done)
        assert len(far.books.called("POST", far.pays)) == 1


@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_check_when_the_look_is_refused_names_why(
    far: Far, tmp_path: Path, status: int
) -> None:
    """The operator is told by it what to mend."""
    if far.plug.name in ("openai", "sagemaker"):
        return  # its looks are downloads, whose errors have names of their own
    request = order_for(far.plug, tmp_path)
    ticket = await waiting(far, request)
    far.books.fault("GET", far.looks[0], vendor.refuse(status))
    with pytest.raises(ProviderError) as caught:
        await far.plug.check(ticket, request, Handle())
    assert (
        type(caught.value)
        is {
            401: ProviderUnauthorized,
            402: ProviderOutOfCredit,
            403: ProviderUnauthorized,
            429: ProviderRateLimited,
        }[status]
    )


# --- cancel -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", EVERY_FAULT.values(), ids=EVERY_FAULT.keys())
@pytest.mark.parametrize("name", ["fal", "replicate", "http", "sagemaker"])
async def test_cancel_when_it_is_refused_or_lost_is_not_confirmed(
    tmp_path: Path, name: str, fault: vendor.Fault
) -> None:
    async with FAR[name](tmp_path) as far:
        far.lag()
        ticket = await waiting(far, order_for(far.plug, tmp_path))
        far.books.fault(*far.cancels, fault)
        said_yes = name == "http" and fault in (
            BROKEN["no JSON"],
            BROKEN["a page"],
            BROKEN["something else"],
            BROKEN["an empty object"],
        )
        try:
            answer = await far.plug.cancel(ticket)
        except SafelightError:
            return
        assert answer is not None
        assert answer.confirmed is said_yes  # of a service of one's own any success is the word


async def test_cancel_when_it_takes_time_is_confirmed_in_the_end(far: Far, tmp_path: Path) -> None:
    if far.plug.name == "openai":
        return  # there is no ticket of work that goes on
    far.lag()
    ticket = await waiting(far, order_for(far.plug, tmp_path))
    first = await far.plug.cancel(ticket)
    assert first is not None
    assert not first.confirmed
    if far.plug.name == "sagemaker":
        far.finish(ticket)  # an answer or a failure, sooner or later
    for _ in range(MOST_LOOKS):
        answer = await far.plug.cancel(ticket)
        if answer is None or answer.confirmed:
            return
    raise AssertionError(f"not confirmed after {MOST_LOOKS} requests")


async def test_cancel_when_the_work_has_ended_is_confirmed(far: Far, tmp_path: Path) -> None:
    ticket = await waiting(far, order_for(far.plug, tmp_path))
    far.finish(ticket)
    for _ in range(2):
        answer = await far.plug.cancel(ticket)
        assert answer is None or answer.confirmed


# --- lost starts --------------------------------------------------------------------------------


async def lost(far: Far, tmp_path: Path, fault: vendor.Fault, seed: int | None = 7) -> LostStart:
    """Return an order whose answer was lost."""
    request = order_for(far.plug, tmp_path)
    if seed is None:
        told = {name: value for name, value in request.params.items() if name != "seed"}
        request = replace(request, params=told)
    began = LostStart(Handle.id, datetime.now(UTC), request)
    far.books.fault("POST", far.pays, fault)
    with pytest.raises(UnknownOutcome):
        await far.plug.start(request, Handle())
    return began


async def test_look_up_when_the_answer_was_lost_finds_the_work(far: Far, tmp_path: Path) -> None:
    start = await lost(far, tmp_path, vendor.lose_answer)
    ticket = await far.plug.look_up(start)
    if far.plug.name == "openai":
        assert (ticket, far.plug.adopts_within) == (None, timedelta()), "nobody can tell"
        return
    assert isinstance(ticket, str)
    assert far.plug.adopts_within > timedelta()
    far.finish(ticket)
    assert isinstance(await far.plug.check(ticket, start.request, Handle()), Done)
    assert len(far.books.called("POST", far.pays)) == 1


async def test_look_up_when_the_order_never_arrived_finds_nothing(far: Far, tmp_path: Path) -> None:
    start = await lost(far, tmp_path, vendor.cut)
    confirmed = far.plug.name == "house"  # whose protocol has a word for it
    assert await far.plug.look_up(start) is (ABSENT if confirmed else None)


@pytest.mark.parametrize("name", ["fal", "replicate"])
async def test_look_up_when_two_orders_are_the_same_takes_neither(
    tmp_path: Path, name: str
) -> None:
    async with FAR[name](tmp_path) as far:
        start = await lost(far, tmp_path, vendor.lose_answer)
        await far.plug.start(start.request, Handle())
        assert await far.plug.look_up(start) is None


@pytest.mark.parametrize("name", ["fal", "replicate"])
@pytest.mark.parametrize("change", ["prompt", "params", "time", "pictures"])
async def test_look_up_when_an_order_is_another_leaves_it_alone(
    tmp_path: Path, name: str, change: str
) -> None:
    async with FAR[name](tmp_path) as far:
        start = await lost(far, tmp_path, vendor.lose_answer, seed=None)
        request = start.request
        other = {
            "prompt": replace(start, request=replace(request, prompt="a dog")),
            "params": replace(start, request=replace(request, params={**request.params, "n": 2})),
            "time": replace(start, sent_at=start.sent_at + timedelta(hours=1)),
            # What was in its pictures is not known any more, and no seed tells it apart.
            "pictures": replace(start, request=replace(request, kind=Kind.IMAGE_TO_IMAGE)),
        }[change]
        assert await far.plug.look_up(other) is None
        assert await far.plug.look_up(start) is not None


@pytest.mark.parametrize("name", ["fal", "replicate"])
async def test_look_up_when_the_list_has_many_pages_reads_them(tmp_path: Path, name: str) -> None:
    async with FAR[name](tmp_path) as far:
        start = await lost(far, tmp_path, vendor.lose_answer)
        for number in range(3):
            other = replace(start.request, prompt=f"another {number}")
            await far.plug.start(other, Handle())
        setattr(far.books, "page", 1)  # noqa: B010  either stub's
        assert await far.plug.look_up(start) is not None


@pytest.mark.parametrize("name", ["fal", "replicate", "http", "sagemaker"])
@pytest.mark.parametrize("fault", EVERY_FAULT.values(), ids=EVERY_FAULT.keys())
async def test_look_up_when_nobody_can_be_asked_finds_nothing_and_confirms_nothing(
    tmp_path: Path, name: str, fault: vendor.Fault
) -> None:
    async with FAR[name](tmp_path) as far:
        start = await lost(far, tmp_path, vendor.lose_answer)
        far.books.fault("*", "/v1/predictions|/platform/.*|/orders/.*|/outputs.*", fault)
        with contextlib.suppress(SafelightError):
            answer = await far.plug.look_up(start)
            # S3 says by a status alone that something is there; what it is shows a check.
            assert answer is None or (name == "sagemaker" and answer is not ABSENT)

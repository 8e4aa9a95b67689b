"""What every provider plug must do; what each does beside it is in a file of its own."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from safelight.errors import (
    Forbidden,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderUnauthorized,
    SafelightError,
    UnknownOutcome,
)
from safelight.jobs.inputs import complete_params
from safelight.providers.provider import (
    Callback,
    Done,
    InputFile,
    Kind,
    Model,
    Pending,
    Provider,
    ProviderRequest,
)
from tests import pictures
from tests.contract.plugs import FAR, NEAR, Bench
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
async def far(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
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


async def finished(plug: Provider, answer: Done | Pending, request: ProviderRequest) -> Done:
    """Return the end of work, asked for as often as it takes."""
    for _ in range(MOST_LOOKS):
        if isinstance(answer, Done):
            return answer
        assert answer.check_after.total_seconds() > 0
        answer = await plug.check(answer.ticket, request, Handle())
    raise AssertionError(f"not done after {MOST_LOOKS} looks: {answer}")


def test_plugs_when_counted_are_all_that_there_are() -> None:
    root = Path(__file__).parents[2] / "src" / "safelight" / "providers"
    parts = {"__init__", "api", "catalogue", "price", "provider", "registry", "results", "vendors"}
    found = {path.stem for path in root.iterdir() if path.stem != "__pycache__"} - parts
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
            assert isinstance(answer, Done | Pending)
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


async def test_ticket_when_another_process_has_it_is_resumed(far: Bench, tmp_path: Path) -> None:
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
    far: Bench, tmp_path: Path, fault: vendor.Fault, error: type[SafelightError]
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


async def test_start_when_nobody_listens_may_be_begun_anew(far: Bench, tmp_path: Path) -> None:
    """What could not be sent was not paid for."""
    assert far.vendor is not None
    request = order_for(far.plug, tmp_path)
    await far.vendor.close()
    with pytest.raises(ProviderError) as caught:
        await far.plug.start(request, Handle())
    assert not isinstance(caught.value, UnknownOutcome)


async def test_cancel_when_the_work_is_under_way_or_over_does_no_harm(
    far: Bench, tmp_path: Path
) -> None:
    request = order_for(far.plug, tmp_path)
    answer = await far.plug.start(request, Handle())
    if isinstance(answer, Pending):
        for _ in range(2):
            with contextlib.suppress(SafelightError):
                await far.plug.cancel(answer.ticket)

"""The scriptable provider keeps its word from process to process, so that chaos can rely on it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from safelight.jobs.params import complete_params
from safelight.providers.errors import ProviderRejected, ProviderUnauthorized, UnknownOutcome
from safelight.providers.local.fake import ROTATED, FakeProvider, FakeQueue
from safelight.providers.provider import (
    ABSENT,
    Canceled,
    Done,
    Failed,
    Kind,
    LostStart,
    Pending,
    ProviderRequest,
)

HOURS = {"seconds": 3600, "pending": True, "cost_micros": 7}


class Handle:
    """An attempt that nobody watches."""

    callback_url: str | None = None
    news: bytes | None = None

    def __init__(self, attempt_id: str = "att_1") -> None:
        self.id = attempt_id

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        pass


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def order(tmp_path: Path, **params: Any) -> ProviderRequest:
    model = FakeProvider().capabilities()[0]
    scratch = tmp_path / "scratch"
    return ProviderRequest(
        Kind.TEXT_TO_IMAGE, model.id, "a cat", complete_params(model, params), (), scratch
    )


def lost(request: ProviderRequest, attempt_id: str = "att_1") -> LostStart:
    return LostStart(attempt_id, datetime.now(UTC), request)


async def ticket_of(plug: FakeProvider, request: ProviderRequest) -> str:
    answer = await plug.start(request, Handle())
    assert isinstance(answer, Pending)
    return answer.ticket


async def test_calls_when_the_key_is_rotated_are_refused_until_it_is_mended(
    ledger: Path, tmp_path: Path
) -> None:
    plug, request = FakeQueue(ledger), order(tmp_path, **HOURS)
    ticket = await ticket_of(plug, request)
    key = ledger.with_name(ROTATED)
    key.touch()
    for call in (
        lambda: plug.start(request, Handle()),
        lambda: plug.check(ticket, request, Handle()),
        lambda: plug.cancel(ticket),
        lambda: plug.look_up(lost(request)),
    ):
        with pytest.raises(ProviderUnauthorized):
            await call()
    key.unlink()
    assert isinstance(await plug.check(ticket, request, Handle()), Pending)


async def test_work_when_scripted_costs_and_ends_as_the_script_says(
    ledger: Path, tmp_path: Path
) -> None:
    plug = FakeProvider(ledger)
    done = await plug.start(order(tmp_path, cost_micros=7), Handle())
    assert isinstance(done, Done)
    assert done.cost_micros == 7
    failed = await plug.start(order(tmp_path, cost_micros=7, verdict="content_refused"), Handle())
    assert isinstance(failed, Failed)
    assert (failed.error.code, failed.cost_micros) == ("content_refused", 7)


async def test_cancel_when_the_vendor_is_slow_is_confirmed_by_the_next_request_of_any_process(
    ledger: Path, tmp_path: Path
) -> None:
    request = order(tmp_path, **HOURS, slow_cancel=True)
    ticket = await ticket_of(FakeProvider(ledger), request)
    assert await FakeProvider(ledger).cancel(ticket) == Canceled(confirmed=False)
    assert await FakeProvider(ledger).cancel(ticket) == Canceled(cost_micros=0)
    gone = await FakeProvider(ledger).check(ticket, request, Handle())
    assert isinstance(gone, Failed)
    assert gone.cost_micros == 0


async def test_cancel_when_the_work_has_ended_tells_what_it_cost(
    ledger: Path, tmp_path: Path
) -> None:
    ticket = await ticket_of(
        FakeProvider(ledger), order(tmp_path, pending=True, seconds=0, cost_micros=7)
    )
    assert await FakeProvider(ledger).cancel(ticket) == Canceled(cost_micros=7)


async def test_look_up_when_the_answer_was_lost_finds_the_ticket_or_says_that_there_is_none(
    ledger: Path, tmp_path: Path
) -> None:
    request = order(tmp_path, **HOURS, errors=["unknown_outcome"])
    with pytest.raises(UnknownOutcome):
        await FakeQueue(ledger).start(request, Handle())
    other = FakeQueue(ledger)
    found = await other.look_up(lost(request))
    assert isinstance(found, str)
    assert isinstance(await other.check(found, request, Handle()), Pending)
    assert await other.look_up(lost(request, "att_2")) is ABSENT
    with pytest.raises(ProviderRejected):
        await FakeQueue(ledger).start(order(tmp_path, **HOURS), Handle("att_2"))

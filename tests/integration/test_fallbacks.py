"""A job of an alias goes to its next model when the provider of the first is at fault."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from safelight.db.tables import breakers as breakers_table
from safelight.db.types import clock
from safelight.errors import InvalidRequest, SafelightError
from safelight.jobs.bodies import Generate
from safelight.jobs.job import Job, JobStatus, Outcome
from safelight.jobs.ledger import moves
from safelight.jobs.scheduling import breakers
from safelight.jobs.submit import Submitter
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRejected,
    ProviderUnauthorized,
    UnknownModel,
    UnknownOutcome,
)
from safelight.providers.local.fake import FakeProvider
from safelight.providers.provider import Kind, Model
from safelight.providers.registry import Registry
from tests import factories
from tests.servers import wait_until_async
from tests.workshop import OddProvider, Workshop, working


class Second(OddProvider):
    """Another provider, whose model takes fewer params."""

    name = "second"

    def capabilities(self) -> tuple[Model, ...]:
        first = FakeProvider().capabilities()[0]
        schema: dict[str, Any] = {**first.params_schema}
        schema["properties"] = {
            name: rule for name, rule in schema["properties"].items() if name != "retry_after_s"
        }
        return (replace(first, id="second", provider="second", params_schema=schema),)


@pytest.fixture
def pair(shop: Workshop, tmp_path: Path) -> tuple[Workshop, Second]:
    second = Second(tmp_path / "second.jsonl")
    shop.registry = Registry([shop.provider, second], {"best": ["fake-paid", "second"]})
    shop.runner = replace(shop.runner, registry=shop.registry)
    return shop, second


async def submit(shop: Workshop, *, start_at: datetime | None = None, **params: Any) -> Job:
    submits = Submitter(shop.database, shop.registry, max_attempts=2)
    params = {"outputs": 0, **params}
    wanted = Generate(prompt="a cat", model="best", start_at=start_at, params=params)
    made = await submits.generate(shop.account, wanted)
    assert made.job is not None
    return made.job


async def test_job_when_its_provider_goes_on_failing_is_done_by_the_next(
    pair: tuple[Workshop, Second],
) -> None:
    shop, _ = pair
    shop.provider.start_error = ProviderError("down")
    job = await submit(shop)
    assert (job.model, [each["model"] for each in job.fallbacks]) == ("fake-paid", ["second"])
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.model, done.provider, done.fallbacks) == ("second", "second", [])
    assert [(each.provider, each.outcome) for each in await shop.attempts(job)] == [
        ("fake", Outcome.FAILED),
        ("fake", Outcome.FAILED),
        ("second", Outcome.SUCCEEDED),
    ]


@pytest.mark.parametrize(
    "error",
    [
        ProviderOutOfCredit(),
        ProviderUnauthorized(),
        ProviderRejected(),
        ProviderRateLimited(retry_after=timedelta(minutes=5)),
    ],
    ids=lambda error: error.code,
)
async def test_job_when_its_provider_cannot_now_goes_on_at_once(
    pair: tuple[Workshop, Second], error: SafelightError
) -> None:
    shop, _ = pair
    shop.provider.start_error = error
    job = await submit(shop)
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert done.provider == "second"
    assert shop.calls(job)["start"] == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderRefused(), "content_refused"),
        (ProviderBadInput(), "provider_bad_input"),
        (UnknownOutcome(), "unknown_outcome"),
    ],
)
async def test_job_when_the_fault_is_its_own_or_it_may_be_paid_is_taken_nowhere_else(
    pair: tuple[Workshop, Second], error: SafelightError, code: str
) -> None:
    shop, second = pair
    shop.provider.start_error = error
    job = await submit(shop)
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == code
    assert second.urls == {}


async def test_job_when_every_model_failed_fails_with_the_last_error(
    pair: tuple[Workshop, Second],
) -> None:
    shop, second = pair
    shop.provider.start_error = ProviderOutOfCredit()
    second.start_error = ProviderRejected("for good")
    job = await submit(shop)
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == "provider_rejected"
    assert len(await shop.attempts(job)) == 2


async def test_jobs_when_they_wait_for_a_shut_provider_are_given_to_the_next(
    pair: tuple[Workshop, Second],
) -> None:
    shop, _ = pair
    waiting = [await submit(shop) for _ in range(3)]
    alone = await shop.queue(model="fake-paid")
    await shop.database.write(lambda tx: breakers.note_fault(tx, "fake", ProviderUnauthorized()))
    async with working(shop.worker(), shop.janitor()):
        for job in waiting:
            done = await shop.until(job, JobStatus.SUCCEEDED)
            assert done.provider == "second"
        assert (await shop.look(alone)).status is JobStatus.QUEUED
    assert shop.calls(alone)["start"] == 0


async def shut(shop: Workshop, error: SafelightError) -> None:
    await shop.database.write(lambda tx: breakers.note_fault(tx, "fake", error))


@pytest.mark.parametrize("wait", [timedelta(days=1), timedelta(minutes=1)])
async def test_jobs_when_their_time_has_not_come_stay_with_a_shut_provider(
    pair: tuple[Workshop, Second], wait: timedelta
) -> None:
    shop, _ = pair
    later = datetime.now(UTC) + wait
    scheduled, due = await submit(shop, start_at=later), await submit(shop)
    await shut(shop, ProviderUnauthorized())
    await shop.janitor().round()
    assert (await shop.look(due)).provider == "second"
    found = await shop.look(scheduled)
    assert (found.provider, found.run_at, found.ready) == ("fake", later, False)


async def test_job_when_it_waits_for_another_try_stays_with_a_shut_provider_till_then(
    pair: tuple[Workshop, Second],
) -> None:
    shop, _ = pair
    job = await submit(shop)
    (claimed,) = await factories.claim(shop.database)
    in_a_minute = await shop.database.read(clock) + timedelta(minutes=1)
    await shop.database.write(
        lambda tx: moves.retry(tx, factories.claim_of(claimed), at=in_a_minute, error={"code": "x"})
    )
    await shut(shop, ProviderUnauthorized())
    await shop.janitor().round()
    found = await shop.look(job)
    assert (found.provider, found.run_at) == ("fake", in_a_minute)


@pytest.mark.parametrize(("pause_s", "provider"), [(29, "fake"), (31, "second")])
async def test_jobs_when_their_provider_asks_for_a_pause_go_elsewhere_only_if_it_is_long(
    pair: tuple[Workshop, Second], pause_s: int, provider: str
) -> None:
    shop, _ = pair
    job = await submit(shop)
    await shut(shop, ProviderRateLimited(retry_after=timedelta(seconds=pause_s)))
    await shop.janitor().round()
    assert (await shop.look(job)).provider == provider


async def test_jobs_when_their_tripped_provider_asks_for_a_short_pause_go_elsewhere(
    pair: tuple[Workshop, Second],
) -> None:
    shop, _ = pair
    job = await submit(shop)
    await shut(shop, ProviderOutOfCredit())
    await shut(shop, ProviderRateLimited(retry_after=timedelta(seconds=3)))
    await shop.janitor().round()
    assert (await shop.look(job)).provider == "second"


@pytest.mark.parametrize("queued", [True, False])
async def test_redrive_when_the_job_fell_back_begins_with_the_first_model_and_all_its_tries(
    pair: tuple[Workshop, Second], *, queued: bool
) -> None:
    shop, second = pair
    submitted = await submit(shop)
    if queued:
        await shut(shop, ProviderUnauthorized())
        await shop.janitor().round()
    shop.provider.start_error = second.start_error = ProviderError("down")
    async with working(shop.worker()):
        failed = await shop.until(submitted, JobStatus.FAILED)
    assert (failed.provider, failed.fallbacks) == ("second", [])
    await shop.database.write(lambda tx: moves.redrive(tx, submitted.id))
    redriven = await shop.look(submitted)
    planned = ("model", "provider", "lane", "params", "timeout_s", "repeatable", "fallbacks")
    for name in (*planned, "max_attempts", "estimate_micros", "first_plan"):
        assert getattr(redriven, name) == getattr(submitted, name), name
    await shop.database.write(lambda tx: breakers.note_successes(tx, ["fake"]))
    before = len(await shop.attempts(submitted))
    async with working(shop.worker()):
        await shop.until(submitted, JobStatus.FAILED)
    tried = [each.provider for each in await shop.attempts(submitted)][before:]
    assert tried == ["fake", "fake", "second", "second"]


async def test_redrive_when_the_job_fell_back_twice_begins_with_the_first_model(
    pair: tuple[Workshop, Second],
) -> None:
    shop, second = pair
    names = ["fake-paid", "second", "fake"]
    shop.registry = Registry([shop.provider, second], {"best": names})
    submitted = await submit(shop)
    for provider in ("fake", "second"):
        moved = await shop.database.write(lambda tx, p=provider: moves.reroute(tx, p, limit=9))
        assert [job.id for job in moved] == [submitted.id]
    assert (await shop.look(submitted)).model == "fake"
    await shop.database.write(lambda tx: moves.cancel(tx, submitted.id))
    redriven = await shop.database.write(lambda tx: moves.redrive(tx, submitted.id))
    assert [redriven.model, *(each["model"] for each in redriven.fallbacks)] == names
    assert redriven.timeout_s == submitted.timeout_s


@pytest.mark.parametrize("shuts", [True, False], ids=["shut", "open"])
async def test_job_when_asked_to_wait_beyond_its_time_fails_at_its_time_for_that_reason(
    shop: Workshop, *, shuts: bool
) -> None:
    """The janitor ends it where claims skip its provider; else the first claim or round does."""
    error = ProviderRateLimited("full", retry_after=timedelta(hours=1))
    shop.provider.start_error = error
    job = await shop.queue(timeout_s=1.5, repeatable=False)

    async def waits() -> Job | None:
        found = await shop.look(job)
        return found if found.stage == error.title else None

    async with working(shop.worker(), *([shop.janitor()] if shuts else [])):
        waiting = await wait_until_async(waits)
        assert waiting is not None
        assert waiting.started_at is not None
        assert waiting.error == error.problem()
        assert waiting.run_at == waiting.started_at + waiting.timeout
        if not shuts:
            await shop.database.write(lambda tx: tx.execute(sa.delete(breakers_table)))
        failed = await shop.until(job, JobStatus.FAILED)
    assert failed.error == error.problem()
    assert failed.finished_at is not None
    assert failed.finished_at >= waiting.run_at
    assert shop.calls(job)["start"] == 1


async def test_submit_when_only_some_models_take_the_params_chooses_among_those(
    pair: tuple[Workshop, Second],
) -> None:
    shop, _ = pair
    job = await submit(shop, retry_after_s=1)
    assert (job.model, job.fallbacks) == ("fake-paid", [])
    with pytest.raises(InvalidRequest, match="fake-paid"):
        await submit(shop, colour="red")


def test_registry_when_an_alias_names_nothing_installed_says_so() -> None:
    with pytest.raises(UnknownModel, match="'best' names 'gone'"):
        Registry([FakeProvider()], {"best": ["fake", "gone"]})


def test_candidates_when_a_name_is_no_alias_are_that_model() -> None:
    registry = Registry([FakeProvider()], {"best": ["fake-paid", "fake"]})
    kind = Kind.TEXT_TO_IMAGE
    assert [model.id for model in registry.candidates(kind, "best", "acc_1")] == [
        "fake-paid",
        "fake",
    ]
    assert [model.id for model in registry.candidates(kind, "fake", "acc_1")] == ["fake"]
    assert [model.id for model in registry.candidates(kind, None, "acc_1")] == ["fake"]
    with pytest.raises(UnknownModel) as refused:
        registry.candidates(kind, "none", "acc_1")
    assert refused.value.errors[0]["choices"] == ["fake", "fake-paid", "best"]


async def test_time_when_a_job_falls_back_begins_anew_for_the_next_model(
    pair: tuple[Workshop, Second],
) -> None:
    shop, _ = pair
    shop.provider.start_error = ProviderOutOfCredit()
    job = await submit(shop)

    async def moved() -> Job | None:
        now = await shop.look(job)
        return now if now.provider == "second" else None

    async with working(shop.worker()):
        found = await wait_until_async(moved)
    assert found is not None
    assert found.timeout_s >= job.fallbacks[0]["timeout_s"]

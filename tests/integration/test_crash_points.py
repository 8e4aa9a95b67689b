"""A worker that dies at any one of the steps of a run: each is tried, before it and after it.

The steps are those that others see: what is written to the database, what is asked of the provider
and what is put into storage. Whatever was under way, another worker finds out what became of it,
and what may have been paid for is begun once.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from safelight.assets import store as asset_store
from safelight.assets.intake import Intake
from safelight.assets.object_ledger import note_all
from safelight.db.engine import Work
from safelight.jobs.job import FINAL, JobStatus, StaleJob
from safelight.media.pictures.inspect import InspectRules
from safelight.providers.provider import AttemptHandle, Done, Failed, Pending, ProviderRequest
from safelight.providers.registry import Registry
from safelight.storage.storage import Storage
from safelight.worker.attempt.writes import Writes
from tests.workshop import FlakyDatabase, OddProvider, Workshop, kill, working

T = TypeVar("T")

PAID = {"repeatable": False, "model": "fake-paid"}
SENT = ["send before", "send after", "start before", "start after"]
HELD = ["ticket before", "ticket after", "park before", "park after", "check before", "check after"]
KEPT = ["note before", "note after", "put before", "put after", "succeed before", "succeed after"]
_WRITES = {
    "send_all": "send",
    "keep_tickets": "ticket",
    "park_all": "park",
    "succeed_all": "succeed",
    note_all.__name__: "note",
}


@dataclass
class Tripwire:
    """Counts the steps of a run and kills it at one; what is dead does nothing more."""

    at: int = 0
    steps: list[str] = field(default_factory=list[str])
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    buried: asyncio.Event = field(default_factory=asyncio.Event)

    async def step(self, name: str) -> None:
        if not self.dead.is_set():
            self.steps.append(name)
            if len(self.steps) != self.at:
                return
            self.dead.set()
        await self.buried.wait()
        raise StaleJob("dead")


class WiredDatabase(FlakyDatabase):
    wire: Tripwire

    async def write(self, work: Work[T]) -> T:
        name = next((say for part, say in _WRITES.items() if part in work.__qualname__), None)
        if name is None:
            return await self.behind.write(work)
        await self.wire.step(f"{name} before")
        result = await self.behind.write(work)
        await self.wire.step(f"{name} after")
        return result


class WiredProvider(OddProvider):
    wire: Tripwire

    async def start(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        await self.wire.step("start before")
        answer = await super().start(request, attempt)
        await self.wire.step("start after")
        return answer

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        await self.wire.step("check before")
        answer = await super().check(ticket, request, attempt)
        await self.wire.step("check after")
        return answer


@dataclass
class WiredStorage:
    """The storage behind it, of which a run uses only `put`."""

    behind: Storage
    wire: Tripwire

    async def put(self, key: str, source: Path) -> None:
        await self.wire.step("put before")
        await self.behind.put(key, source)
        await self.wire.step("put after")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


def wired(shop: Workshop, wire: Tripwire) -> Workshop:
    """Return the shop of a worker that dies at the wire."""
    database = WiredDatabase(shop.database.behind)
    provider = WiredProvider(shop.ledger_file)
    database.wire = provider.wire = wire
    storage: Any = WiredStorage(shop.storage, wire)
    intake: Any = Intake(database, storage, shop.pool, InspectRules(max_pixels=10**6))
    settlement = replace(shop.runner.settlement, database=database, writes=Writes(database))
    runner = replace(
        shop.runner,
        database=database,
        settlement=settlement,
        registry=Registry([provider]),
        intake=intake,
    )
    return replace(shop, runner=runner)


async def died_at(shop: Workshop, at: int, job: dict[str, Any]) -> tuple[list[str], str]:
    """Let a worker die at that step of a job, and others take over; return steps and outcome."""
    wire = Tripwire(at)
    queued = await shop.queue(**job)
    running = asyncio.create_task(wired(shop, wire).worker().run())  # noqa: TID251  ended by kill
    ended = asyncio.create_task(shop.until(queued, *FINAL))  # noqa: TID251
    died = asyncio.create_task(wire.dead.wait())  # noqa: TID251
    await asyncio.wait([ended, died], return_when=asyncio.FIRST_COMPLETED)
    wire.buried.set()
    await kill(shop, running)
    async with working(shop.worker(), shop.janitor()):
        done = await ended
    died.cancel()
    calls = shop.calls(queued)
    is_repeated = bool(job.get("repeatable", True))
    assert calls["start"] <= (2 if is_repeated else 1), wire.steps
    attempts = await shop.attempts(queued)
    is_unknown = (done.error or {}).get("code") == "unknown_outcome"
    assert [attempt.is_open for attempt in attempts].count(True) == is_unknown
    assets = await shop.database.read(lambda tx: asset_store.of_jobs(tx, [queued.id]))
    assert len(assets.get(queued.id, [])) == (1 if done.status is JobStatus.SUCCEEDED else 0)
    return wire.steps, (done.error or {}).get("code", done.status.value)


async def every(shop: Workshop, job: dict[str, Any], steps: Iterable[str]) -> dict[str, str]:
    """Return what became of the job for each step that its worker died at."""
    wanted = list(steps)
    whole, outcome = await died_at(shop, 0, job)
    assert (whole, outcome) == (wanted, "succeeded")
    return {
        name: (await died_at(shop, number, job))[1] for number, name in enumerate(wanted, start=1)
    }


async def test_paid_job_behind_a_ticket_when_its_worker_dies_anywhere_is_begun_once(
    shop: Workshop,
) -> None:
    job = {"params": {"pending": True, "outputs": 1}, **PAID}
    found = await every(shop, job, [*SENT, *HELD, *KEPT])
    lost = {name for name, outcome in found.items() if outcome != "succeeded"}
    # From when it is written that the provider is about to be called until the ticket is.
    assert lost == {"send after", "start before", "start after", "ticket before"}
    assert {found[name] for name in lost} == {"unknown_outcome"}


async def test_paid_job_that_is_answered_at_once_when_its_worker_dies_anywhere_is_begun_once(
    shop: Workshop,
) -> None:
    job = {"params": {"outputs": 1}, **PAID}
    found = await every(shop, job, [*SENT, *KEPT])
    lost = {name for name, outcome in found.items() if outcome != "succeeded"}
    assert lost == {"send after", "start before", "start after"}  # after it, it is on disk
    assert {found[name] for name in lost} == {"unknown_outcome"}


@pytest.mark.parametrize("pending", [False, True])
async def test_repeatable_job_when_its_worker_dies_anywhere_succeeds(
    shop: Workshop, pending: bool
) -> None:
    job = {"params": {"pending": pending, "outputs": 1}}
    found = await every(shop, job, [*SENT, *(HELD if pending else []), *KEPT])
    assert set(found.values()) == {"succeeded"}

"""Imports through a real worker: what is tried again, how often, when, and what is not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from safelight.jobs.job import Job, JobStatus
from safelight.providers.local.link import LinkProvider
from safelight.providers.provider import Kind, Lane
from safelight.providers.registry import Registry
from safelight.worker.worker import Worker, WorkerRules
from tests import pictures
from tests.servers import wait_until_async
from tests.sites import Answer, Site, fetcher_for, respond, running
from tests.workshop import LONG, SOON, Workshop, working

FINAL = (JobStatus.SUCCEEDED, JobStatus.FAILED)


class Importing:
    """A worker that imports from one site, which remembers when it was asked."""

    def __init__(self, shop: Workshop, site: Site) -> None:
        self.site = site
        self._shop = shop
        self.asked_at: list[float] = []

    async def queue(self, path: str, *, timeout_s: float = 120.0) -> Job:
        return await self._shop.queue(
            kind=Kind.IMPORT_IMAGE,
            provider="link",
            model="link",
            source_url=self.site.url(path),
            timeout_s=timeout_s,  # by default as the provider has it
        )

    async def end_of(self, job: Job) -> Job:
        return await self._shop.until(job, *FINAL)

    def answering(self, *answers: Answer) -> Answer:
        """Return an answer that is another one each time, and the last of them for good."""
        left = list(answers)

        async def answer(writer: asyncio.StreamWriter, path: str) -> None:
            self.asked_at.append(time.monotonic())
            await (left.pop(0) if len(left) > 1 else left[0])(writer, path)

        return answer

    def pauses(self) -> list[float]:
        return [
            later - sooner for sooner, later in zip(self.asked_at, self.asked_at[1:], strict=False)
        ]


@asynccontextmanager
async def importing(shop: Workshop) -> AsyncIterator[Importing]:
    async with running({}) as site, fetcher_for(site) as fetcher:
        runner = replace(shop.runner, registry=Registry([LinkProvider(fetcher)]), fetcher=fetcher)
        rules = WorkerRules({Lane.REMOTE: 8}, LONG, SOON, timedelta())
        async with working(Worker(shop.database, shop.bell, runner, rules)):
            yield Importing(shop, site)


async def reset(writer: asyncio.StreamWriter, path: str) -> None:
    """Break the connection off without a goodbye."""
    writer.transport.abort()


async def test_import_when_the_picture_is_not_there_then_is_tried_once(shop: Workshop) -> None:
    async with importing(shop) as at:
        at.site.answers["/x"] = at.answering(respond(b"", "404 Not Found"))
        job = await at.end_of(await at.queue("/x"))
    assert (job.status, job.error and job.error["code"]) == (JobStatus.FAILED, "fetch_refused")
    assert job.attempts == 1
    assert len(at.asked_at) == 1


async def test_import_when_the_server_is_in_trouble_then_is_tried_thrice_with_backoff(
    shop: Workshop,
) -> None:
    async with importing(shop) as at:
        at.site.answers["/x"] = at.answering(respond(b"", "503 Busy"))
        job = await at.end_of(await at.queue("/x"))
    assert (job.status, job.error and job.error["code"]) == (JobStatus.FAILED, "fetch_failed")
    assert job.attempts == 3
    first, second = at.pauses()
    # The workshop's backoff is 50 and 100 ms, of which half is fixed.
    assert first >= 0.025
    assert second >= 0.05


async def test_import_when_the_connection_is_reset_then_is_tried_again(shop: Workshop) -> None:
    picture = respond(pictures.picture())
    async with importing(shop) as at:
        at.site.answers["/x"] = at.answering(reset, reset, picture)
        job = await at.end_of(await at.queue("/x"))
    assert (job.status, job.attempts) == (JobStatus.SUCCEEDED, 3)
    assert len(at.asked_at) == 3


async def test_import_when_the_host_asks_for_a_pause_then_all_wait_and_only_who_asked_pays(
    shop: Workshop,
) -> None:
    picture = respond(pictures.picture())
    async with importing(shop) as at:
        busy = respond(b"", "429 Slow Down", Retry_After="1")
        at.site.answers["/x"] = at.answering(busy, picture)
        at.site.answers["/y"] = at.answering(picture)
        first = await at.queue("/x")

        async def asked() -> bool:
            return bool(at.asked_at) and (await shop.look(first)).status is JobStatus.QUEUED

        await wait_until_async(asked)
        others = [await at.queue("/y") for _ in range(5)]
        ended = [await at.end_of(job) for job in (first, *others)]
    assert {job.status for job in ended} == {JobStatus.SUCCEEDED}
    assert [job.attempts for job in ended] == [2, 1, 1, 1, 1, 1]
    assert len(at.asked_at) == 7
    assert min(at.asked_at[1:]) - at.asked_at[0] >= 1


async def test_import_when_the_pause_outlasts_the_job_then_fails_at_its_time_without_asking(
    shop: Workshop,
) -> None:
    async with importing(shop) as at:
        at.site.answers["/x"] = at.answering(respond(b"", "429 Slow Down", Retry_After="86400"))
        first = await at.end_of(await at.queue("/x", timeout_s=1))
        second = await at.end_of(await at.queue("/x", timeout_s=1))
    assert (first.error and first.error["code"], first.attempts) == ("fetch_failed", 1)
    assert (second.error and second.error["code"], second.attempts) == ("fetch_paused", 0)
    assert len(at.asked_at) == 1

"""Real plugs in many processes that are killed, frozen and cut off at random: paid once at most.

`CHAOS_SEED` draws the same faults again.
"""

import asyncio
import os
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from safelight.worker.attempt.verdict import UNHEARD
from tests import pictures
from tests.chaos import faults
from tests.chaos.cluster import Cluster, Shape, cluster
from tests.chaos.faults import Chaos
from tests.chaos.history import FINAL
from tests.servers import PostgresServer, wait_until_async
from tests.stubs import vendor
from tests.stubs.fal import KEY, FalStub
from tests.stubs.http_service import ServiceStub
from tests.stubs.openai import OpenAiStub
from tests.stubs.replicate import SECRET, ReplicateStub
from tests.stubs.sagemaker import INVOKE, REGION, SageMaker
from tests.stubs.vendor import Entry

SEED = int(os.environ.get("CHAOS_SEED", secrets.randbits(32)))  # noqa: TID251  the test's own
MODELS = (
    "fal/fal-ai/flux/schnell",
    "replicate/black-forest-labs/flux-schnell",
    "openai/gpt-image-1.5",
    "sagemaker/painter",
    "house/paint",
)
EACH = 25
FAULTS = 12
SECONDS = 15.0
SETTLED_S = 150.0  # a shut breaker, then the slow look where an API's wrong clock refuses callbacks
PAUSE_S = 0.2
CANCELED = 0.2
CATALOGUE = """
[http.house]
url = "$URL/jobs"
body = { prompt = "$prompt" }
media = "images.0.url"
later = { ticket = "id", status_url = "$URL/jobs/$ticket", status = "state" }

[[http.house.models]]
id = "house/paint"
title = "House painter"
kinds = ["text_to_image"]
"""
REFUSED = (vendor.refuse(401), vendor.refuse(403))  # a look with a key that was just rotated
UNWELL = (vendor.refuse(429, {"detail": "slow down"}, Retry_After="1"), vendor.refuse(503))


@dataclass
class Vendors:
    """All that real plugs talk to here."""

    fal: FalStub
    replicate: ReplicateStub
    openai: OpenAiStub
    sagemaker: SageMaker
    house: ServiceStub

    def settings(self, home: Path) -> dict[str, str]:
        everybody = (self.fal, self.replicate, self.openai, self.sagemaker, self.house)
        catalogue = home / "vendors.toml"
        catalogue.write_text(CATALOGUE.replace("$URL", self.house.url))
        return {
            "SAFELIGHT_FAL_KEY": KEY,
            "SAFELIGHT_FAL_QUEUE_URL": self.fal.url,
            "SAFELIGHT_FAL_KEYS_URL": self.fal.keys_url,
            "SAFELIGHT_FAL_PLATFORM_URL": self.fal.platform_url,
            "SAFELIGHT_REPLICATE_API_TOKEN": "r8_test",
            "SAFELIGHT_REPLICATE_BASE_URL": self.replicate.base_url,
            "SAFELIGHT_REPLICATE_WEBHOOK_SECRET": SECRET,
            "SAFELIGHT_OPENAI_API_KEY": "sk-test",
            "SAFELIGHT_OPENAI_BASE_URL": self.openai.base_url,
            "SAFELIGHT_SAGEMAKER_REGION": REGION,
            "SAFELIGHT_SAGEMAKER_ENDPOINTS": "painter",
            "SAFELIGHT_SAGEMAKER_INPUTS": "s3://inputs/orders",
            "SAFELIGHT_SAGEMAKER_OUTPUTS": "s3://outputs/answers",
            "SAFELIGHT_SAGEMAKER_FAILURES": "s3://outputs/failures",
            "SAFELIGHT_SAGEMAKER_URL": self.sagemaker.url,
            "AWS_ACCESS_KEY_ID": "AKIDTEST",
            "AWS_SECRET_ACCESS_KEY": "not secret",
            "SAFELIGHT_CATALOGUE": str(catalogue),
            "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
            "SAFELIGHT_FETCH_PORTS": ",".join(str(each.port) for each in everybody),
        }

    def ledger(self) -> Mapping[str, list[Entry]]:
        """Return every paid order by its prompt, from the vendors' own books."""
        found: defaultdict[str, list[Entry]] = defaultdict(list)
        for each in (self.fal, self.replicate, self.openai, self.sagemaker, self.house):
            for entry in each.ledger():
                found[entry.prompt].append(entry)
        return found


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    picture = pictures.picture("png")
    async with AsyncExitStack() as stack:
        fal = await stack.enter_async_context(FalStub(picture, work_s=1.0).running())
        replicate = await stack.enter_async_context(ReplicateStub(picture).running())
        openai = await stack.enter_async_context(OpenAiStub(picture).running())
        sagemaker = await stack.enter_async_context(SageMaker(picture=picture).running())
        house = await stack.enter_async_context(ServiceStub(picture).running())
        replicate.output = ["{url}/made/0.png"]
        fal.fault("POST", "/fal-ai/.*", *UNWELL, vendor.lose_answer, *UNWELL, vendor.lose_answer)
        fal.fault("GET", "/fal-ai/.*", *REFUSED)
        fal.fault("GET", "/files/.*", vendor.refuse(503), vendor.cut_in_body)
        replicate.fault("POST", ".*/predictions", *UNWELL, vendor.lose_answer)
        replicate.fault("GET", "/v1/predictions/.*", *REFUSED, vendor.refuse(500), vendor.cut)
        openai.fault("POST", ".*", *UNWELL, vendor.lose_answer, vendor.cut)
        sagemaker.fault("POST", INVOKE, *UNWELL, vendor.lose_answer)
        sagemaker.fault("GET", "/outputs.*", vendor.refuse(500), vendor.cut_in_body)
        house.fault("POST", "/jobs", *UNWELL, vendor.lose_answer)
        house.fault("GET", "/jobs/.*", *REFUSED, vendor.refuse(503), vendor.cut)
        yield Vendors(fal, replicate, openai, sagemaker, house)


@pytest.mark.slow
@pytest.mark.timeout(180 + SECONDS + SETTLED_S)
async def test_vendors_when_anything_fails_at_any_time_are_paid_once_at_most(
    vendors: Vendors, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    print(f"CHAOS_SEED={SEED}")  # noqa: T201  to repeat it
    shape = Shape(workers=3, janitors=2, settings=vendors.settings(tmp_path), is_public=True)
    chance = random.Random(SEED)  # noqa: S311  repeatable, not secret
    with cluster(postgres_server, tmp_path, shape) as running:
        chaos = Chaos(running, chance)
        async with asyncio.TaskGroup() as meanwhile:
            keeping = meanwhile.create_task(chaos.keep_running())
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(ask(running, chance))
                group.create_task(chaos.inflict_all(faults.draw(chance, FAULTS), SECONDS))
            jobs = await ended(running, asking.result(), vendors)
            keeping.cancel()
    ledger = vendors.ledger()
    for job in jobs:
        check(job, ledger.get(job["prompt"], []))
    outcomes = Counter((job["provider"], job["status"]) for job in jobs)
    print(dict(outcomes), dict(chaos.done))  # noqa: T201  shows what the run was worth
    for model in MODELS:
        assert outcomes[model.partition("/")[0], "succeeded"] > EACH / 5


def check(job: dict[str, Any], paid: list[Entry]) -> None:
    """Nothing is paid twice, a result is kept, and what nobody waits for is canceled or ended."""
    assert len(paid) <= 1, (job, paid)
    if job["status"] == "succeeded":
        assert (len(paid), len(job["outputs"])) == (1, 1), job
    elif job["status"] == "canceled":
        assert all(is_dealt_with(entry) for entry in paid), (job, paid)
    elif job["stage"] == UNHEARD:
        assert not paid, job
    else:
        assert job["error"]["code"] in ("unknown_outcome", "worker_crashed", "media_truncated"), job


def is_dealt_with(entry: Entry) -> bool:
    return entry.cancels > 0 or entry.cost_micros is not None


async def ask(running: Cluster, chance: random.Random) -> list[str]:
    """Submit everything while parts are away; return the jobs' ids."""
    wanted = [f"{model} {number}" for model in MODELS for number in range(EACH)]
    chance.shuffle(wanted)
    found: list[str] = []
    for prompt in wanted:
        found.append(await submitted(running, prompt))
        if chance.random() < CANCELED:
            await canceled(running, chance.choice(found))
        await asyncio.sleep(SECONDS / len(wanted))
    return found


async def canceled(running: Cluster, job_id: str) -> None:
    """Cancel a job at whatever step it is; one that has ended stays as it is."""

    async def ended() -> bool:
        job = await asked(running, "GET", f"/v1/jobs/{job_id}")
        if job is not None and job["status"] not in FINAL:
            await asked(running, "POST", f"/v1/jobs/{job_id}/cancel")
        return job is not None and job["status"] in FINAL

    await wait_until_async(ended, SETTLED_S)


async def submitted(running: Cluster, prompt: str) -> str:
    """Submit one job, as often as it takes to hear that it is there."""
    body = {"prompt": prompt, "model": prompt.partition(" ")[0], "params": {}}

    async def there() -> str | None:
        answer = await asked(running, "POST", "/v1/generate", json=body, key=prompt)
        return answer["id"] if answer else None

    found = await wait_until_async(there, SETTLED_S)
    assert found is not None
    return found


async def ended(running: Cluster, job_ids: list[str], vendors: Vendors) -> list[dict[str, Any]]:
    """Return all jobs once they are final, or wait for word that no vendor will ever send."""
    found: dict[str, dict[str, Any]] = {}
    waiting: list[Any] = []

    async def over() -> bool:
        for job_id in job_ids:
            if job_id in found:
                continue
            job = await asked(running, "GET", f"/v1/jobs/{job_id}")
            if job is None or not is_over(job, vendors):
                waiting[:] = [job]
                return False
            found[job_id] = job
        return True

    try:
        await wait_until_async(over, SETTLED_S)
    except AssertionError:
        raise AssertionError(f"not final: {waiting}") from None
    return [found[job_id] for job_id in job_ids]


def is_over(job: dict[str, Any], vendors: Vendors) -> bool:
    paid = vendors.ledger().get(job["prompt"], [])
    if job["stage"] == UNHEARD:
        return not paid
    if job["status"] == "canceled":
        return all(is_dealt_with(entry) for entry in paid)
    return job["status"] in FINAL


async def asked(
    running: Cluster, method: str, path: str, *, key: str = "", **body: Any
) -> dict[str, Any] | None:
    """Return the answer; None while the API or what is behind it is away."""
    headers = {"Idempotency-Key": key.replace("/", ".").replace(" ", ".")} if key else {}
    try:
        async with running.client() as api:
            answer = await api.request(method, path, headers=headers, **body)
    except httpx2.TransportError:
        await asyncio.sleep(PAUSE_S)
        return None
    if answer.status_code == httpx2.codes.CONFLICT:
        return None  # it has ended meanwhile
    if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
        await asyncio.sleep(PAUSE_S)
        return None
    return answer.raise_for_status().json()

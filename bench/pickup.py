"""How soon an idle service calls the provider: from sending the submit to the call itself."""

import asyncio
import random
import time

from bench import fullpath
from bench.client import connected
from bench.components import Components
from bench.peer import Pool
from bench.service import Service
from bench.sizes import Sizes
from bench.table import Row, latency

_WARM_UP = 20
_GAP_S = (0.05, 0.15)
_LAST_S = 10
_NOTHING = {"seconds": 0, "outputs": 0}


async def pickup(ground: Components, sizes: Sizes) -> list[Row]:
    """Measure each service alone, with random gaps so that no rhythm of its own is met."""
    makers = [
        lambda: fullpath.safelight(ground.postgres.new_database()),
        lambda: fullpath.apart(ground.postgres.new_database()),
        lambda: fullpath.peer(ground, Pool("prefork", 4)),
        lambda: fullpath.safelight(""),
    ]
    rows: list[Row] = []
    for make in makers:
        with make() as service:
            rows.append(await _measure(service, sizes.idle_submits))
    return rows


async def _measure(service: Service, count: int) -> Row:
    chance = random.Random(7)  # noqa: S311  gaps, the same for all
    sent: dict[str, float] = {}
    async with connected(service, 1) as client:
        await client.submit_many([f"warm {number}" for number in range(_WARM_UP)], _NOTHING)
        for number in range(count):
            await asyncio.sleep(chance.uniform(*_GAP_S))
            prompt = f"pickup {number}"
            sent[prompt] = time.time()
            await client.submit(prompt, _NOTHING)
    called = await _calls(service, set(sent))
    delays = [called[prompt] - at for prompt, at in sent.items()]
    return {"service": service.name, "submits": count, **latency(delays)}


async def _calls(service: Service, prompts: set[str]) -> dict[str, float]:
    """Return when each was called, once all have been."""
    until = time.monotonic() + _LAST_S
    while True:
        calls = {prompt: at for prompt, at in service.calls() if prompt in prompts}
        if calls.keys() == prompts:
            break
        if time.monotonic() > until:
            raise RuntimeError(f"{service.name}: {len(calls)} of {len(prompts)} were called")
        await asyncio.sleep(0.1)
    known = {prompt: at for prompt, at in calls.items() if at is not None}
    if len(known) < len(calls):
        raise RuntimeError(f"{service.name}: the ledger's lines lack their moment, `at`")
    return known

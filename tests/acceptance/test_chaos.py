"""Many processes, real faults at random moments, and one history held against the invariants.

`CHAOS_SEED` draws the same jobs and faults again; `CHAOS_JOBS`, `CHAOS_FAULTS` and `CHAOS_SECONDS`
say how many, and for how long the faults go on.
"""

import asyncio
import os
import random
import secrets
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from safelight.db import tables
from safelight.db.engine import Database
from tests.chaos import faults, script
from tests.chaos.callers import Callers
from tests.chaos.cluster import Cluster, Shape, cluster
from tests.chaos.collect import collect
from tests.chaos.faults import Chaos
from tests.chaos.history import FINAL, History
from tests.chaos.invariants import check
from tests.servers import PostgresServer, wait_until_async


def _asked(name: str, otherwise: float) -> float:
    return float(os.environ.get(f"CHAOS_{name}", otherwise))  # noqa: TID251  of the test's own


SEED = int(_asked("SEED", secrets.randbits(32)))
JOBS = int(_asked("JOBS", 200))
FAULTS = int(_asked("FAULTS", faults.ROUND))
SECONDS = _asked("SECONDS", 1.5 * FAULTS)
SETTLED_S = 60 + JOBS / 20  # from the last fault until the last job is final
LIMIT_S = 300 + SECONDS + SETTLED_S
ACCOUNTS = 5


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
async def test_installation_when_anything_fails_at_any_time_keeps_every_promise(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    print(f"CHAOS_SEED={SEED} CHAOS_JOBS={JOBS} CHAOS_FAULTS={FAULTS}")  # noqa: T201  to repeat it
    with cluster(postgres_server, tmp_path, Shape(workers=3, janitors=2)) as running:
        history = await _live_through(running)
    print(_told(history))  # noqa: T201  shows what the run was worth
    broken = check(history)
    assert not broken, "\n".join(broken)


async def _live_through(running: Cluster) -> History:
    chance = random.Random(SEED)  # noqa: S311  repeatable, not secret
    plans = script.draw(chance, JOBS, ACCOUNTS, SECONDS)
    planned = faults.draw(chance, FAULTS)
    chaos = Chaos(running, chance)
    database = running.open_database()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        clients = [
            await stack.enter_async_context(running.client(key))
            for key in await running.new_keys(ACCOUNTS)
        ]
        callers = Callers(clients, plans)
        async with asyncio.TaskGroup() as meanwhile:
            others = [
                meanwhile.create_task(work)
                for work in (callers.watch(), chaos.keep_running(), chaos.ring_in_vain())
            ]
            async with asyncio.TaskGroup() as group:
                group.create_task(callers.ask_for_everything())
                group.create_task(chaos.inflict_all(planned, SECONDS))
            print(f"{dict(chaos.done)}, {callers.refusals} refusals")  # noqa: T201
            await _settled(callers, database)
            for task in others:
                task.cancel()
        assert chaos.done.total() == FAULTS
        await callers.look()
        _stop(running)
        return await collect(database, running.data_dir, callers.wishes, callers.sightings)


async def _settled(callers: Callers, database: Database) -> None:
    """Wait until every job is final, and nothing is left open at the provider."""

    async def over() -> bool:
        return not callers.unfinished and not await _open(database)

    try:
        await wait_until_async(over, SETTLED_S)
    except AssertionError:
        left = "\n".join([*sorted(callers.unfinished), *await _open(database)])
        raise AssertionError(f"not final, or open at the provider:\n{left}") from None


async def _open(database: Database) -> list[str]:
    """Tell of jobs whose provider will yet be heard of; a person's judgment is not awaited."""
    jobs, attempts = tables.jobs.c, tables.attempts.c
    is_judged = sa.and_(attempts.state == "unknown", jobs.status.in_(FINAL))
    query = (
        sa.select(
            *(jobs.id, jobs.prompt, jobs.status, jobs.stage, jobs.crashes, jobs.run_at),
            *(attempts.id, attempts.state, attempts.ticket, attempts.look_at, attempts.cancels),
        )
        .join_from(tables.attempts, tables.jobs)
        .where(tables.OPEN, ~is_judged)
    )
    return await database.read(lambda tx: [str(tuple(row)) for row in tx.execute(query)])


def _told(history: History) -> str:
    endings = Counter(job.ending for job in history.jobs)
    outcomes = Counter(attempt.outcome for attempt in history.attempts)
    crashes = sum(job.crashes for job in history.jobs)
    return f"endings {dict(endings)}, attempts {dict(outcomes)}, {crashes} crashes"


def _stop(running: Cluster) -> None:
    for process in running.processes:
        process.await_start()
        process.ask_to_stop()
    assert [process.end() for process in running.processes] == [0] * len(running.processes)

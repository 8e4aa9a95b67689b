"""Faults of every kind, in an order drawn by chance, each inflicted on a running installation."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from itertools import cycle, islice

from redis.exceptions import RedisError

from safelight.doorbell import doorbell, message
from tests.chaos.cluster import LEASE_S, Cluster
from tests.chaos.process import RoleProcess

_RING_EVERY_S = 0.1
_MENDED_EVERY_S = 0.2
_LANE = "remote"


class Fault(StrEnum):
    """What goes wrong."""

    KILL_WORKER = "kill a worker"
    FREEZE_WORKER = "freeze a worker past its lease"
    CRASH_DATABASE = "crash PostgreSQL"
    KILL_DOORBELL = "kill the doorbell"
    KILL_API = "kill the API"
    KILL_JANITOR = "kill a janitor"


# The first ten, and every ten after them, hold each kind.
_TEN = (
    *(Fault.KILL_WORKER,) * 3,
    *(Fault.FREEZE_WORKER,) * 2,
    *(Fault.CRASH_DATABASE,) * 2,
    Fault.KILL_DOORBELL,
    Fault.KILL_API,
    Fault.KILL_JANITOR,
)


def draw(chance: random.Random, count: int) -> list[Fault]:
    """Return `count` faults in an order drawn by chance."""
    chosen = list(islice(cycle(_TEN), count))
    chance.shuffle(chosen)
    return chosen


class Chaos:
    """Breaks the parts of `cluster` and mends them; each part suffers one fault at a time."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.done: Counter[Fault] = Counter()
        self._cluster = cluster
        self._chance = chance
        self._locks = {
            name: asyncio.Lock()
            for name in ("database", "doorbell", *(each.name for each in cluster.processes))
        }

    async def inflict_all(self, faults: list[Fault], seconds: float) -> None:
        """Inflict them one after another, spread over so many seconds; some overlap."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._inflict(fault))
                await asyncio.sleep(self._chance.uniform(0, 2 * seconds / len(faults)))

    async def keep_running(self) -> None:
        """Start again what could not start, until canceled; what had started must never end."""
        while True:
            for process in self._cluster.processes:
                if process.has_ended_by_itself:
                    assert not process.has_worked, f"{process.name} ended:\n{process.output}"
                    process.start()
            await asyncio.sleep(_MENDED_EVERY_S)

    async def ring_in_vain(self) -> None:
        """Send nonsense, and rings for nothing, many of them twice, until canceled."""
        ring = "".join(message.write("nobody", [doorbell.lane(_LANE), doorbell.HALT], 1_000))
        nonsense = ["", "not JSON", "[]", '{"sender": 1, "topics": 2}', "x" * 100_000, ring, ring]
        while True:
            try:
                await self._cluster.doorbell.inject(self._chance.choice(nonsense), _LANE)
            except RedisError:
                await asyncio.sleep(_RING_EVERY_S)  # it has been killed, and will be back
            await asyncio.sleep(_RING_EVERY_S)

    async def _inflict(self, fault: Fault) -> None:
        inflict = self._how(fault)
        await inflict()
        self.done[fault] += 1

    def _how(self, fault: Fault) -> Callable[[], Awaitable[None]]:
        cluster, choose = self._cluster, self._chance.choice
        match fault:
            case Fault.KILL_WORKER:
                victim = choose(cluster.workers)
                return lambda: self._kill(victim)
            case Fault.FREEZE_WORKER:
                victim = choose(cluster.workers)
                return lambda: self._freeze(victim)
            case Fault.KILL_API:
                return lambda: self._kill(cluster.api)
            case Fault.KILL_JANITOR:
                victim = choose(cluster.janitors)
                return lambda: self._kill(victim)
            case Fault.CRASH_DATABASE:
                return self._crash_database
            case Fault.KILL_DOORBELL:
                return self._kill_doorbell

    async def _kill(self, victim: RoleProcess) -> None:
        async with self._locks[victim.name]:
            victim.kill()
            await asyncio.sleep(self._chance.uniform(0, 1))
            victim.start()

    async def _freeze(self, victim: RoleProcess) -> None:
        async with self._locks[victim.name]:
            victim.freeze()
            await asyncio.sleep(LEASE_S + self._chance.uniform(0.5, 2))
            victim.thaw()

    async def _crash_database(self) -> None:
        async with self._locks["database"]:
            self._cluster.crash_database()
            await asyncio.sleep(self._chance.uniform(0.2, 2))
            self._cluster.database.start()

    async def _kill_doorbell(self) -> None:
        async with self._locks["doorbell"]:
            self._cluster.doorbell.kill()
            await asyncio.sleep(self._chance.uniform(0.2, 2))
            self._cluster.doorbell.start()

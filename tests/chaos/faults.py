"""Faults of every kind, in an order drawn by chance, each inflicted on a running installation."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from itertools import cycle, islice

from asyncpg import InterfaceError, InternalClientError, PostgresError
from redis.exceptions import RedisError

from safelight.doorbell import doorbell, message
from tests.chaos.cluster import LEASE_S, Cluster
from tests.chaos.process import RoleProcess
from tests.servers import wait_until_async

_RING_EVERY_S = 0.1
_MENDED_EVERY_S = 0.2
_LANE = "remote"
_CLOCKS_OFF_S = (-3600.0, 3600.0)
_CRASHES = 3
_STOP_S = 90.0  # of a worker whose result waits for a database that others break meanwhile
_DATABASE, _DOORBELL, _KEY = "database", "doorbell", "key"


class Fault(StrEnum):
    """A kind of fault."""

    KILL_WORKER = "kill a worker"
    STOP_WORKER = "stop a worker"
    FREEZE_WORKER = "freeze a worker past its lease"
    CRASH_DATABASE = "crash PostgreSQL"
    CRASH_LOOP = "crash PostgreSQL again and again"
    READ_ONLY = "refuse all writes"
    FREEZE_DATABASE = "freeze PostgreSQL"
    ROTATE_KEY = "rotate the vendors' key"
    SKEW_CLOCK = "set a clock wrong by an hour"
    SUSPEND_MACHINE = "suspend the whole machine"
    KILL_DOORBELL = "kill the doorbell"
    KILL_API = "kill the API"
    STOP_API = "stop the API"
    FREEZE_API = "freeze the API"
    KILL_JANITOR = "kill a janitor"
    STOP_JANITOR = "stop a janitor"
    FREEZE_JANITOR = "freeze a janitor"


# The first twenty-four, and every twenty-four after them, hold each kind.
_ROUND = (
    *Fault,
    *(Fault.KILL_WORKER,) * 2,
    Fault.STOP_WORKER,
    Fault.FREEZE_WORKER,
    Fault.CRASH_DATABASE,
    Fault.ROTATE_KEY,
    Fault.SKEW_CLOCK,
)
ROUND = len(_ROUND)


def draw(chance: random.Random, count: int) -> list[Fault]:
    """Return `count` faults in an order drawn by chance."""
    chosen = list(islice(cycle(_ROUND), count))
    chance.shuffle(chosen)
    return chosen


class Chaos:
    """Breaks the parts of `cluster` and mends them; each part suffers one fault at a time."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.done: Counter[Fault] = Counter()
        self._cluster = cluster
        self._chance = chance
        processes = (each.name for each in cluster.processes)
        self._locks = {name: asyncio.Lock() for name in (_DATABASE, _DOORBELL, _KEY, *processes)}

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
        this = asyncio.current_task()
        while this is not None and not this.cancelling():  # the client may swallow a cancel
            try:
                await self._cluster.doorbell.inject(self._chance.choice(nonsense), _LANE)
            except RedisError:
                await asyncio.sleep(_RING_EVERY_S)  # it has been killed, and will be back
            await asyncio.sleep(_RING_EVERY_S)

    async def _inflict(self, fault: Fault) -> None:
        _tell(fault)
        cluster, workers = self._cluster, self._cluster.workers
        of_parts: Mapping[Fault, tuple[_OfProcess, Sequence[RoleProcess]]] = {
            Fault.KILL_WORKER: (self._kill, workers),
            Fault.STOP_WORKER: (self._stop, workers),
            Fault.FREEZE_WORKER: (self._freeze, workers),
            Fault.KILL_API: (self._kill, [cluster.api]),
            Fault.STOP_API: (self._stop, [cluster.api]),
            Fault.FREEZE_API: (self._freeze, [cluster.api]),
            Fault.KILL_JANITOR: (self._kill, cluster.janitors),
            Fault.STOP_JANITOR: (self._stop, cluster.janitors),
            Fault.FREEZE_JANITOR: (self._freeze, cluster.janitors),
            Fault.SKEW_CLOCK: (self._skew, cluster.processes),
        }
        of_all: Mapping[Fault, Callable[[], Awaitable[None]]] = {
            Fault.CRASH_DATABASE: self._crash_database,
            Fault.CRASH_LOOP: self._crash_database_again,
            Fault.READ_ONLY: self._refuse_writes,
            Fault.FREEZE_DATABASE: self._freeze_database,
            Fault.ROTATE_KEY: self._rotate_key,
            Fault.SUSPEND_MACHINE: self._suspend_machine,
            Fault.KILL_DOORBELL: self._kill_doorbell,
        }
        if fault in of_parts:
            inflict, victims = of_parts[fault]
            await inflict(self._chance.choice(victims))
        else:
            await of_all[fault]()
        self.done[fault] += 1
        _tell(f"{fault}: mended")

    # --- faults of one process ---------------------------------------------------------------

    async def _kill(self, victim: RoleProcess) -> None:
        async with self._locks[victim.name]:
            victim.kill()
            await self._pause(0, 1)
            victim.start()

    async def _stop(self, victim: RoleProcess) -> None:
        """As an operator would; it must end in order, whatever else is broken."""
        async with self._locks[victim.name]:
            has_worked = victim.has_worked
            victim.ask_to_stop()
            status = await asyncio.to_thread(victim.end, _STOP_S)
            assert not has_worked or status == 0, f"{victim.name} ended as {status}"
            victim.start()

    async def _freeze(self, victim: RoleProcess) -> None:
        async with self._locks[victim.name]:
            victim.freeze()
            await self._pause(LEASE_S + 0.5, LEASE_S + 2)
            victim.thaw()

    async def _skew(self, victim: RoleProcess) -> None:
        """Until it is killed or stopped for another reason: its clock is never set right."""
        async with self._locks[victim.name]:
            victim.kill()
            victim.start(clock_off_s=self._chance.choice(_CLOCKS_OFF_S))

    # --- faults of what they share -----------------------------------------------------------

    async def _crash_database(self) -> None:
        async with self._locks[_DATABASE]:
            self._cluster.crash_database()
            await self._pause(0.2, 2)
            self._cluster.database.start()

    async def _crash_database_again(self) -> None:
        """Each time it forgets what was committed last and not waited for."""
        async with self._locks[_DATABASE]:
            for _ in range(_CRASHES):
                self._cluster.database.kill()
                self._cluster.database.start()
                await self._pause(0.2, 1)

    async def _refuse_writes(self) -> None:
        async with self._locks[_DATABASE]:
            await self._cluster.refuse_writes(True)
            await self._pause(1, 4)
            await self._cluster.refuse_writes(False)

    async def _freeze_database(self) -> None:
        async with self._locks[_DATABASE]:
            with self._cluster.database.suspended():
                await self._pause(LEASE_S + 0.5, LEASE_S + 2)

    async def _rotate_key(self) -> None:
        async with self._locks[_KEY]:
            self._cluster.rotated_key.touch()
            await self._pause(1, 4)
            self._cluster.rotated_key.unlink()
            await wait_until_async(self._trusts_vendors, 30)

    async def _trusts_vendors(self) -> bool:
        try:
            await self._cluster.trust_vendors_again()
        except (OSError, PostgresError, InterfaceError, InternalClientError):
            return False  # another fault has it
        return True

    async def _suspend_machine(self) -> None:
        """A lid is closed: everything stands still, and every lease runs out meanwhile."""
        async with self._alone():
            ours = self._cluster.processes
            with self._cluster.database.suspended():
                for process in ours:
                    process.freeze()
                await self._pause(LEASE_S + 0.5, LEASE_S + 2)
            for process in ours:
                process.thaw()

    async def _kill_doorbell(self) -> None:
        async with self._locks[_DOORBELL]:
            self._cluster.doorbell.kill()
            await self._pause(0.2, 2)
            self._cluster.doorbell.start()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait until nothing else is broken; nobody else holds more than one lock."""
        async with AsyncExitStack() as stack:
            for lock in self._locks.values():
                await stack.enter_async_context(lock)
            yield

    async def _pause(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self._chance.uniform(least_s, most_s))


def _tell(what: str) -> None:
    """Print when it happened, beside which the logs can be read."""
    print(f"{datetime.now(UTC):%T} {what}")  # noqa: T201  shown where the test fails


_OfProcess = Callable[[RoleProcess], Awaitable[None]]

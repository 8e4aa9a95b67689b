"""The doorbell between processes on a wire that does what each test says."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from safelight.doorbell import message
from safelight.doorbell.ears import Ears
from safelight.doorbell.errors import DoorbellSilent
from safelight.doorbell.relay import open_relay
from safelight.doorbell.wire import Rhythm

SOON = timedelta(seconds=5)


class ScriptedWire:
    """A wire whose server is away, hangs or works, and that keeps what was sent."""

    name = "scripted"
    rhythm = Rhythm()

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.fault: Exception | None = None
        self.hangs = False
        self.tries = 0
        self.tried = asyncio.Event()
        self.moved = asyncio.Event()
        self.holds = asyncio.Event()
        self.holds.set()
        self.ears: Ears | None = None

    @asynccontextmanager
    async def connect(self, ears: Ears) -> "AsyncIterator[ScriptedWire]":
        self.tries += 1
        self.tried.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        self.ears = ears
        self._lost = asyncio.Event()
        yield self

    def lose(self, fault: Exception) -> None:
        self.fault = fault
        self._lost.set()

    async def send(self, topics: Sequence[str]) -> None:
        await self.holds.wait()
        if self.fault is not None:
            raise self.fault
        self.sent.append(list(topics))
        self.moved.set()

    async def probe(self) -> None:
        if self.fault is not None:
            raise self.fault

    async def hear(self) -> NoReturn:
        await self._lost.wait()
        raise ConnectionError

    async def check(self) -> None: ...

    async def has_tried(self, times: int) -> None:
        async with asyncio.timeout(10):
            while self.tries < times:
                self.tried.clear()
                await self.tried.wait()

    async def has_sent(self, topics: int) -> None:
        async with asyncio.timeout(10):
            while sum(map(len, self.sent)) < topics:
                self.moved.clear()
                await self.moved.wait()


async def test_ring_when_the_wire_is_busy_gathers_topics_into_one_send() -> None:
    wire = ScriptedWire()
    async with open_relay(wire) as doorbell:
        wire.holds.clear()
        doorbell.ring("lane:first")
        await asyncio.sleep(0)
        for number in range(1000):
            doorbell.ring("lane:gpu", f"subject:{number % 10}")
        wire.holds.set()
        await wire.has_sent(12)
    assert len(wire.sent) <= 2


async def test_hear_when_the_message_is_its_own_strikes_no_bell() -> None:
    wire = ScriptedWire()
    async with open_relay(wire) as doorbell:
        assert wire.ears is not None
        with doorbell.listen("lane:gpu", "halt") as bell:
            for sender, topic in ((wire.ears.id, "lane:gpu"), ("another", "halt")):
                (text,) = message.write(sender, [topic], 1000)
                assert wire.ears.hear(text)
            assert await bell.wait(SOON) == {"halt"}


async def test_outage_when_it_lasts_is_logged_once_and_its_end_once() -> None:
    wire = ScriptedWire()
    with capture_logs() as logs:
        async with open_relay(wire) as doorbell:
            with doorbell.listen("lane:gpu") as bell:
                wire.lose(ConnectionError("gone"))
                await wire.has_tried(4)
                with pytest.raises(DoorbellSilent):
                    await doorbell.check()
                wire.fault = None
                assert await bell.wait(SOON) == {"lane:gpu"}
                await doorbell.check()
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]


async def test_outage_when_the_plug_knows_what_to_mend_says_so() -> None:
    wire = ScriptedWire()
    wire.fault = ConnectionError("away")
    with capture_logs() as logs:
        async with open_relay(wire) as doorbell:
            wire.fault = DoorbellSilent("Switch it on.")
            await wire.has_tried(4)
            with pytest.raises(DoorbellSilent, match="Switch it on"):
                await doorbell.check()
    assert ["Switch it on" in entry["error"] for entry in logs] == [False, True]


async def test_line_when_a_probe_fails_is_lost_although_nothing_rang() -> None:
    wire = ScriptedWire()
    wire.rhythm = Rhythm(probe_every=timedelta(milliseconds=5))
    async with open_relay(wire) as doorbell:
        wire.fault = ConnectionError("no answer")
        await wire.has_tried(2)
        with pytest.raises(DoorbellSilent):
            await doorbell.check()


async def test_check_when_the_line_fails_in_its_own_way_says_silent() -> None:
    class Odd(ScriptedWire):
        async def check(self) -> None:
            raise KeyError("a library's own")

    async with open_relay(Odd()) as doorbell:
        with pytest.raises(DoorbellSilent, match="scripted"):
            await doorbell.check()


async def test_ring_when_its_send_failed_is_sent_on_the_next_line() -> None:
    wire = ScriptedWire()
    async with open_relay(wire) as doorbell:
        wire.fault = ConnectionError("gone")
        doorbell.ring("lane:gpu")
        await wire.has_tried(2)
        wire.fault = None
        await wire.has_sent(1)
    assert wire.sent == [["lane:gpu"]]


async def test_open_when_the_server_hangs_goes_on_and_closes_at_once() -> None:
    wire = ScriptedWire()
    wire.hangs = True
    began = time.monotonic()
    async with open_relay(wire) as doorbell:
        opened = time.monotonic()
        assert opened - began < 3
        doorbell.ring("lane:gpu")
        with pytest.raises(DoorbellSilent):
            await doorbell.check()
    assert time.monotonic() - opened < 1


async def test_close_when_a_library_swallows_the_cancellation_ends_all_the_same() -> None:
    class Deaf(ScriptedWire):
        async def send(self, topics: Sequence[str]) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.sent.append(list(topics))

    wire = Deaf()
    async with asyncio.timeout(3), open_relay(wire) as doorbell:
        doorbell.ring("lane:gpu")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert wire.sent == [["lane:gpu"]]

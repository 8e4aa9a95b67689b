"""A stream of events, fed by a double: order, resumption, heartbeats, and its end."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from safelight.accounts.account import Caller
from safelight.events import Event
from safelight.web.streams.sse import FINAL_ID, HEARTBEAT, Snapshot, Told, follow, frame, is_over
from safelight.web.watch import Watch

_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(seq: int, kind: str = "job.progress", subject: str = "job_1") -> Event:
    return Event(f"evt_{subject}_{seq:03}", "acc_1", subject, None, seq, kind, {}, _NOON)


class ScriptedBell:
    """Rings or not at each wait, as the test says, and never makes it wait."""

    def __init__(self, rings: Sequence[bool]) -> None:
        self._rings = list(rings)

    def hear(self, topic: str) -> None:
        raise AssertionError("no round was played")

    async def wait(self, at_most: timedelta) -> frozenset[str]:
        assert at_most == HEARTBEAT
        await asyncio.sleep(0)
        return frozenset({"subject:job_1"} if self._rings.pop(0) else ())


class ScriptedDoorbell:
    """A doorbell with one listener."""

    name = "scripted"

    def __init__(self, rings: Sequence[bool]) -> None:
        self._rings = rings

    async def check(self) -> None: ...

    def ring(self, *topics: str) -> None: ...

    @contextmanager
    def listen(self, *topics: str) -> Generator[ScriptedBell]:
        assert topics == ("subject:job_1",)
        yield ScriptedBell(self._rings)


class Tape:
    """A feed that plays what a test put on it: one list of events a look."""

    subject = "job_1"

    def __init__(
        self, looks: Sequence[Sequence[Event]], *, seen: int = 0, past: Sequence[Event] = ()
    ) -> None:
        self._looks = list(looks)
        self._seen = seen
        self._past = past
        self.asked: list[Mapping[str, int]] = []

    async def snapshot(self) -> Snapshot:
        return Snapshot({"id": "job_1"}, {"job_1": self._seen}, final=not self._looks)

    async def missed(self, last_event_id: str) -> Sequence[Event]:
        return [one for one in self._past if one.id > last_event_id]

    async def news(self, heads: Mapping[str, int]) -> tuple[Sequence[Event], bool]:
        self.asked.append(dict(heads))
        return self._looks.pop(0), not self._looks

    async def tell(self, events: Sequence[Event]) -> Sequence[Told]:
        return [
            Told(event.type, {"seq": event.seq, "subject": event.subject}, event.id)
            for event in events
        ]


async def all_stay(callers: Collection[Caller]) -> Collection[Caller]:
    return callers


async def unmoved(subjects: Collection[str]) -> Mapping[str, int]:
    return dict.fromkeys(subjects, 0)


async def played(
    tape: Tape,
    *,
    rings: Sequence[bool] = (True,) * 9,
    last_event_id: str | None = None,
    stopping: asyncio.Event | None = None,
    still_valid: Callable[[Collection[Caller]], Awaitable[Collection[Caller]]] = all_stay,
) -> list[str]:
    """Each frame's event name and number, or `:` for a heartbeat."""
    stop = stopping or asyncio.Event()
    watch = Watch(unmoved, still_valid, ScriptedDoorbell(rings), stop, pace_s=0)
    caller = Caller("acc_1", "key_1", frozenset())
    frames: list[str] = []
    async for raw in follow(tape, watch, caller, last_event_id=last_event_id, stopping=stop):
        text = raw.decode()
        name = next((line[7:] for line in text.splitlines() if line.startswith("event: ")), ":")
        number = text.partition('"seq":')[2].partition(",")[0]
        frames.append(f"{name} {number}".strip())
    return frames


async def test_follow_when_news_comes_sends_a_snapshot_then_each_event_once() -> None:
    tape = Tape([[event(2, "job.started")], [], [event(3), event(4, "job.succeeded")]], seen=1)
    frames = ["snapshot", "job.started 2", ":", "job.progress 3", "job.succeeded 4"]
    assert await played(tape) == frames
    assert tape.asked == [{"job_1": 1}, {"job_1": 2}, {"job_1": 2}]


async def test_follow_when_resumed_first_sends_what_was_missed() -> None:
    past = [event(number) for number in (1, 2, 3, 9)]
    tape = Tape([[event(4, "job.succeeded")]], seen=3, past=past)
    frames = await played(tape, last_event_id=event(1).id)
    # The ninth is beyond the snapshot: it comes in its turn, not here.
    assert frames == ["job.progress 2", "job.progress 3", "snapshot", "job.succeeded 4"]


async def test_follow_when_all_is_final_sends_the_snapshot_and_ends() -> None:
    assert await played(Tape([])) == ["snapshot"]


async def test_is_over_when_final_and_nothing_was_missed() -> None:
    past = [event(1), event(2, "job.succeeded")]
    assert await is_over(Tape([], past=past), event(2).id)
    assert await is_over(Tape([], past=past), FINAL_ID)
    assert not await is_over(Tape([], past=past), event(1).id)
    assert not await is_over(Tape([[event(3)]], past=past), event(2).id)


async def test_follow_when_nothing_happens_sends_heartbeats_and_asks_for_no_news() -> None:
    tape = Tape([[event(1, "job.succeeded")]])
    frames = await played(tape, rings=[False, False, True])
    assert frames == ["snapshot", ":", ":", "job.succeeded 1"]
    assert len(tape.asked) == 1


async def test_follow_when_the_server_stops_ends() -> None:
    stopping = asyncio.Event()
    stopping.set()
    assert await played(Tape([[], [], []]), stopping=stopping) == ["snapshot"]


def test_frame_when_data_holds_line_breaks_keeps_it_on_one_line() -> None:
    raw = frame("job.progress", {"stage": "one\ntwo\r\nevent: fake"}, "evt_1").decode()
    assert raw.count("\n") == 4
    assert raw.startswith("id: evt_1\nevent: job.progress\ndata: {")

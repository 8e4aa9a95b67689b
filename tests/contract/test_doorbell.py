"""The contract of all doorbell plugs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from itertools import count

import pytest

from safelight.doorbell import message
from safelight.doorbell.doorbell import Bell, Doorbell
from safelight.doorbell.errors import DoorbellSilent
from safelight.doorbell.open import open_doorbell
from tests import brokers
from tests.brokers import Broker
from tests.servers import PostgresServer, wait_until_async

SOON = timedelta(seconds=5)
NOT_LONG = timedelta(milliseconds=30)
BROADCAST = ["postgres", "redis", "nats"]
BETWEEN_PROCESSES = [*BROADCAST, "sqs"]
_numbers = count()


@pytest.fixture(scope="session")
def start_broker(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Broker]]:
    """Return a function that gives the one server of a kind, started when first asked for."""
    started: dict[str, Broker] = {}

    def make(kind: str) -> Broker:
        home = tmp_path_factory.mktemp(kind)
        if kind == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            return brokers.postgres(server, home)
        return {"redis": brokers.valkey, "nats": brokers.nats, "sqs": brokers.sqs}[kind](home)

    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in brokers.AWS_ENVIRONMENT.items():
            patch.setenv(name, value)

        def give(kind: str) -> Broker:
            if kind not in started:
                started[kind] = stack.enter_context(brokers.running(make(kind)))
            started[kind].start()  # a test that failed may have left it killed
            return started[kind]

        yield give


@pytest.fixture
def broker(kind: str, start_broker: Callable[[str], Broker]) -> Broker:
    return start_broker(kind)


@pytest.fixture
def lane(kind: str, request: pytest.FixtureRequest) -> str:
    """A lane that no other test uses, with its queue where the plug has queues."""
    name = f"lane{next(_numbers)}"
    if kind == "sqs":
        request.getfixturevalue("broker").make_queue(name)
    return name


@pytest.fixture
async def doorbell(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Doorbell]:
    url = "" if kind == "memory" else request.getfixturevalue("broker").url
    async with open_doorbell(url) as opened:
        await opened.check()
        yield opened


@pytest.fixture
async def other(broker: Broker) -> AsyncIterator[Doorbell]:
    """Another process's doorbell on the same server."""
    async with open_doorbell(broker.url) as opened:
        await opened.check()
        yield opened


every_plug = pytest.mark.parametrize("kind", ["memory", *BETWEEN_PROCESSES])
between_processes = pytest.mark.parametrize("kind", BETWEEN_PROCESSES)
broadcasting = pytest.mark.parametrize("kind", BROADCAST)
only_sqs = pytest.mark.parametrize("kind", ["sqs"])


async def _silent(doorbell: Doorbell) -> bool:
    try:
        await doorbell.check()
    except DoorbellSilent:
        return True
    return False


async def _sounds(doorbell: Doorbell) -> bool:
    return not await _silent(doorbell)


async def _heard_from(ringer: Doorbell, topic: str, bell: Bell) -> None:
    """Ring until it is heard: rings may fall between while lines come back."""

    async def heard() -> bool:
        ringer.ring(topic)
        return topic in await bell.wait(timedelta(milliseconds=200))

    await wait_until_async(heard, 20)


# --- in one process ------------------------------------------------------------------------


@every_plug
async def test_wait_when_a_topic_rings_returns_it(doorbell: Doorbell, lane: str) -> None:
    with doorbell.listen(f"lane:{lane}", "halt") as bell:
        asyncio.get_running_loop().call_soon(doorbell.ring, f"lane:{lane}")
        assert await bell.wait(SOON) == {f"lane:{lane}"}


@every_plug
async def test_wait_when_nothing_rings_returns_after_the_time(
    doorbell: Doorbell, lane: str
) -> None:
    with doorbell.listen(f"lane:{lane}") as bell:
        doorbell.ring("lane:elsewhere")
        assert await bell.wait(NOT_LONG) == frozenset()


@every_plug
async def test_rings_when_nobody_waits_yet_are_kept_as_one(doorbell: Doorbell, lane: str) -> None:
    a, b = f"subject:a-{lane}", f"subject:b-{lane}"
    with doorbell.listen(a, b) as bell:
        for _ in range(1000):
            doorbell.ring(a)
        doorbell.ring(b)
        assert await bell.wait(SOON) == {a, b}
        assert await bell.wait(NOT_LONG) == frozenset()


@every_plug
async def test_ring_when_several_listen_wakes_them_all(doorbell: Doorbell, lane: str) -> None:
    topic = f"lane:{lane}"
    with doorbell.listen(topic) as one, doorbell.listen(topic) as another:
        doorbell.ring(topic)
        assert await asyncio.gather(one.wait(SOON), another.wait(SOON)) == [{topic}, {topic}]


@every_plug
async def test_ring_when_the_listener_has_left_is_no_error(doorbell: Doorbell, lane: str) -> None:
    with doorbell.listen(f"lane:{lane}"):
        pass
    doorbell.ring(f"lane:{lane}")


@every_plug
async def test_listen_when_a_topic_is_named_twice_hears_it_once(
    doorbell: Doorbell, lane: str
) -> None:
    with doorbell.listen(f"lane:{lane}", f"lane:{lane}") as bell:
        doorbell.ring(f"lane:{lane}")
        assert await bell.wait(SOON) == {f"lane:{lane}"}


@every_plug
async def test_name_when_opened_is_the_plugs(doorbell: Doorbell, kind: str) -> None:
    assert doorbell.name == kind


# --- between processes ---------------------------------------------------------------------


@between_processes
async def test_ring_when_another_process_listens_to_the_lane_wakes_it(
    doorbell: Doorbell, other: Doorbell, lane: str
) -> None:
    with other.listen(f"lane:{lane}") as bell:
        doorbell.ring(f"lane:{lane}", "subject:nobody-listens")
        assert await bell.wait(SOON) == {f"lane:{lane}"}


@broadcasting
async def test_ring_when_both_listen_wakes_each_for_the_others_rings(
    doorbell: Doorbell, other: Doorbell, lane: str
) -> None:
    topic = f"subject:job_{lane}"
    with doorbell.listen("halt") as here, other.listen(topic, "halt") as there:
        doorbell.ring(topic)
        assert await there.wait(SOON) == {topic}
        other.ring("halt")
        assert await there.wait(SOON) == {"halt"}
        assert await here.wait(SOON) == {"halt"}


@between_processes
async def test_rings_when_there_are_a_thousand_wake_the_other_a_few_times(
    doorbell: Doorbell, other: Doorbell, lane: str
) -> None:
    topic = f"lane:{lane}"
    with other.listen(topic) as bell:
        for _ in range(1000):
            doorbell.ring(topic)
        assert await bell.wait(SOON) == {topic}
        again = 0
        while await bell.wait(timedelta(milliseconds=300)):
            again += 1
    assert again <= 1


@broadcasting
async def test_rings_when_they_are_of_many_topics_are_all_heard(
    doorbell: Doorbell, other: Doorbell, lane: str
) -> None:
    topics = [f"subject:job_{number:026}_{lane}" for number in range(1000)]
    heard: set[str] = set()
    with other.listen(*topics) as bell:
        doorbell.ring(*topics)
        while len(heard) < len(topics):
            rung = await bell.wait(SOON)
            assert rung
            heard |= rung
    assert heard == set(topics)


@between_processes
@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"sender": 1, "topics": []}', "\U0001f514 x"])
async def test_hear_when_a_message_is_garbage_goes_on(
    doorbell: Doorbell, other: Doorbell, broker: Broker, lane: str, garbage: str
) -> None:
    with other.listen(f"lane:{lane}") as bell:
        await broker.inject(garbage or " ", lane)
        doorbell.ring(f"lane:{lane}")
        assert await bell.wait(SOON) == {f"lane:{lane}"}
        await other.check()


@between_processes
async def test_hear_when_a_message_comes_twice_wakes_and_goes_on(
    other: Doorbell, broker: Broker, lane: str
) -> None:
    topic = f"lane:{lane}"
    (text,) = message.write("somebody", [topic], 1000)
    with other.listen(topic) as bell:
        await broker.inject(text, lane)
        assert await bell.wait(SOON) == {topic}
        await broker.inject(text, lane)
        assert await bell.wait(SOON) == {topic}


@between_processes
async def test_ring_when_its_process_closes_at_once_is_heard_all_the_same(
    broker: Broker, other: Doorbell, lane: str
) -> None:
    with other.listen(f"lane:{lane}") as bell:
        async with open_doorbell(broker.url) as leaving:
            leaving.ring(f"lane:{lane}")
        assert await bell.wait(SOON) == {f"lane:{lane}"}
        with pytest.raises(DoorbellSilent):
            await leaving.check()


# --- outages -------------------------------------------------------------------------------


@between_processes
async def test_ring_when_the_server_dies_is_heard_here_and_by_others_once_it_is_back(
    doorbell: Doorbell, other: Doorbell, broker: Broker, lane: str
) -> None:
    topic = f"lane:{lane}"
    with other.listen(topic) as there:
        broker.kill()
        with doorbell.listen("subject:here") as here:
            began = time.monotonic()
            for _ in range(100):
                doorbell.ring("subject:here", topic)
            assert time.monotonic() - began < 2  # it waits for no broker
            assert await here.wait(SOON) == {"subject:here"}
        await wait_until_async(lambda: _silent(doorbell), 20)
        await wait_until_async(lambda: _silent(other), 20)
        broker.start()
        await wait_until_async(lambda: _sounds(doorbell), 20)
        await wait_until_async(lambda: _sounds(other), 20)
        await _heard_from(doorbell, topic, there)


@between_processes
async def test_line_when_it_comes_back_strikes_every_bell(
    doorbell: Doorbell, broker: Broker, lane: str
) -> None:
    with doorbell.listen(f"lane:{lane}", "halt") as bell:
        broker.kill()
        doorbell.ring("lane:elsewhere")
        await wait_until_async(lambda: _silent(doorbell), 20)
        broker.start()
        assert await bell.wait(timedelta(seconds=20)) == {f"lane:{lane}", "halt"}


@between_processes
async def test_open_when_the_server_is_away_works_and_connects_later(
    broker: Broker, lane: str
) -> None:
    broker.kill()
    async with AsyncExitStack() as stack:
        began = time.monotonic()
        ringer = await stack.enter_async_context(open_doorbell(broker.url))
        assert time.monotonic() - began < 4
        assert await _silent(ringer)
        broker.start()
        await wait_until_async(lambda: _sounds(ringer), 20)
        listener = await stack.enter_async_context(open_doorbell(broker.url))
        with listener.listen(f"lane:{lane}") as bell:
            await _heard_from(ringer, f"lane:{lane}", bell)


@between_processes
async def test_close_when_the_server_hangs_takes_no_longer_than_a_second(
    broker: Broker, lane: str
) -> None:
    with ExitStack() as stack:
        async with open_doorbell(broker.url) as opened:
            await opened.check()
            with opened.listen(f"lane:{lane}") as bell:
                stack.enter_context(broker.suspended())
                opened.ring(f"lane:{lane}")
                assert await bell.wait(SOON) == {f"lane:{lane}"}
            began = time.monotonic()
        assert time.monotonic() - began < 1


@broadcasting
async def test_body_when_it_raises_raises_the_same_outside(broker: Broker) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_doorbell(broker.url):
            raise KeyError("mine")


# --- one plug's own ------------------------------------------------------------------------


async def test_check_when_nats_has_no_jetstream_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    plain = brokers.nats(tmp_path_factory.mktemp("plain"), jetstream=False)
    with brokers.running(plain):
        async with open_doorbell(plain.url) as doorbell:
            with pytest.raises(DoorbellSilent, match="JetStream"):
                await doorbell.check()


@pytest.mark.parametrize("kind", ["nats"])
async def test_ring_when_the_stream_was_deleted_is_heard_once_it_is_made_again(
    doorbell: Doorbell, broker: Broker, other: Doorbell, lane: str
) -> None:
    with other.listen(f"lane:{lane}") as bell:
        await broker.forget_stream()
        await _heard_from(doorbell, f"lane:{lane}", bell)


@only_sqs
async def test_check_when_a_queue_is_missing_names_it_until_it_is_made(
    doorbell: Doorbell, broker: Broker
) -> None:
    name = f"lane{next(_numbers)}"
    doorbell.ring(f"lane:{name}")
    await wait_until_async(lambda: _silent(doorbell))
    with pytest.raises(DoorbellSilent, match=f"test-{name}"):
        await doorbell.check()
    broker.make_queue(name)
    await doorbell.check()


@only_sqs
async def test_ring_when_the_topic_is_no_lane_stays_in_its_process(
    doorbell: Doorbell, other: Doorbell, lane: str
) -> None:
    with other.listen("halt", f"subject:{lane}", f"lane:{lane}") as there:
        doorbell.ring("halt", f"subject:{lane}", f"lane:{lane}")
        assert await there.wait(SOON) == {f"lane:{lane}"}
        assert await there.wait(NOT_LONG) == frozenset()


@only_sqs
async def test_hear_when_a_message_cannot_be_read_leaves_it_for_the_dead_letters(
    other: Doorbell, broker: Broker
) -> None:
    name = f"lane{next(_numbers)}"
    broker.make_queue(f"{name}-dead")
    broker.make_queue(
        name, VisibilityTimeout="0", RedrivePolicy=brokers.redrive(f"test-{name}-dead", 2)
    )
    broker.put(f"test-{name}", "garbage")

    async def dead() -> list[str]:
        return await asyncio.to_thread(broker.peek, f"test-{name}-dead")

    with other.listen(f"lane:{name}"):
        assert await wait_until_async(dead) == ["garbage"]
    assert await asyncio.to_thread(broker.peek, f"test-{name}") == []


@only_sqs
async def test_hear_when_messages_piled_up_strikes_a_few_times_and_empties_the_queue(
    other: Doorbell, broker: Broker, lane: str
) -> None:
    topic = f"lane:{lane}"
    (text,) = message.write("somebody", [topic], 1000)
    for _ in range(25):
        broker.put(f"test-{lane}", text)
    with other.listen(topic) as bell:
        assert await bell.wait(SOON) == {topic}

        async def empty() -> bool:
            return not await asyncio.to_thread(broker.peek, f"test-{lane}")

        await wait_until_async(empty)

"""Signals: gauges follow the database, and each line is a document that CloudWatch reads."""

import io
import json
from datetime import timedelta
from typing import Any, TypeVar, cast

from prometheus_client import REGISTRY

from safelight.db.engine import Work
from safelight.jobs.scheduling.lane_counts import Flight, InFlight, LaneCount
from safelight.jobs.scheduling.presence import Process
from safelight.worker.upkeep.metrics import Signals, emf_document
from tests.factories import NOON

T = TypeVar("T")

AT_S = 1_800_000_000.25
# Those of the specification that are used here.
UNITS = {"Seconds", "Count"}
MOST_METRICS = 100


class Counted:
    """A database in which somebody counted already."""

    url = ""

    def __init__(self, *answers: tuple[list[LaneCount], Flight]) -> None:
        self.answers = list(answers)
        self.processes: list[Process] = []

    async def read(self, work: Work[T]) -> T:
        return cast("T", (*self.answers.pop(0), self.processes))

    async def look(self, work: Work[T]) -> T:
        raise AssertionError("counting needs one snapshot")

    async def write(self, work: Work[T]) -> T:
        raise AssertionError("counting writes nothing")

    async def close(self) -> None: ...


def lane(name: str = "remote", **changes: Any) -> LaneCount:
    fields: dict[str, Any] = {
        "paused_at": None,
        "ready": 3,
        "due_checks": 1,
        "delayed": 9,
        "oldest_wait": timedelta(seconds=12.3456),
        "in_flight": InFlight(running=5, waiting=2),
    }
    return LaneCount(name, **fields | changes)


def signals(emf: io.StringIO | None, *answers: tuple[list[LaneCount], Flight]) -> Signals:
    return Signals(Counted(*answers), emf, clock=lambda: AT_S)


def flight(**providers: int) -> Flight:
    return Flight({}, {name: InFlight(count, 0) for name, count in providers.items()})


def process(name: str, lanes: dict[str, int], *, alive: bool = True) -> Process:
    return Process(name, "here", 1, ["worker"], lanes, "1.0", 0, NOON, NOON, alive)


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"safelight_{name}", labels)


async def test_publish_when_lanes_were_counted_sets_the_gauges() -> None:
    await signals(None, ([lane("a", paused_at=NOON), lane("b")], flight(fake=7))).publish()
    assert gauge("queue_depth", lane="a") == 4
    assert gauge("queue_oldest_wait_seconds", lane="a") == 12.346
    assert gauge("in_flight", lane="a") == 7
    assert (gauge("lane_paused", lane="a"), gauge("lane_paused", lane="b")) == (1, 0)
    assert gauge("provider_in_flight", provider="fake") == 7


async def test_publish_when_a_lane_or_provider_has_vanished_sets_its_gauges_to_nothing() -> None:
    first = ([lane("gone", paused_at=NOON), lane("here")], flight(left=2, stays=1))
    then = ([lane("here", oldest_wait=None)], flight(stays=3))
    publisher = signals(None, first, then)
    await publisher.publish()
    assert gauge("queue_depth", lane="gone") == 4
    await publisher.publish()
    names = ("queue_depth", "queue_oldest_wait_seconds", "in_flight", "lane_paused")
    assert [gauge(name, lane="gone") for name in names] == [0, 0, 0, 0]
    assert gauge("queue_oldest_wait_seconds", lane="here") == 0
    assert gauge("provider_in_flight", provider="left") == 0
    assert gauge("provider_in_flight", provider="stays") == 3


async def test_publish_when_processes_die_counts_the_living() -> None:
    answer = ([lane("a"), lane("b")], flight())
    counted = Counted(answer, answer)
    publisher = Signals(counted, None)
    counted.processes = [
        process("one", {"a": 4, "b": 0}),
        process("other", {"a": 1}),
        process("dead", {"a": 1, "b": 1}, alive=False),
    ]
    await publisher.publish()
    assert (gauge("workers", lane="a"), gauge("workers", lane="b")) == (2, 0)
    assert gauge("processes", role="worker") == 2
    counted.processes = []
    await publisher.publish()
    assert (gauge("workers", lane="a"), gauge("processes", role="worker")) == (0, 0)


async def test_publish_when_lines_are_wanted_writes_one_for_each_lane() -> None:
    out = io.StringIO()
    await signals(out, ([lane("a"), lane("b")], flight())).publish()
    lines = out.getvalue().splitlines()
    assert [json.loads(line)["Lane"] for line in lines] == ["a", "b"]
    assert out.getvalue().endswith("\n")


def test_emf_document_when_made_keeps_the_rules_of_the_specification() -> None:
    document: dict[str, Any] = json.loads(json.dumps(emf_document(lane(), at_s=AT_S)))
    about = document.pop("_aws")
    assert set(about) == {"Timestamp", "CloudWatchMetrics"}
    assert about["Timestamp"] == 1_800_000_000_250, "whole milliseconds since 1970"
    (directive,) = about["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert 0 < len(directive["Namespace"]) < 1024
    assert directive["Dimensions"] == [["Lane"]]
    assert 0 < len(directive["Metrics"]) <= MOST_METRICS
    for metric in directive["Metrics"]:
        assert set(metric) == {"Name", "Unit"}
        assert metric["Unit"] in UNITS
    # Every target member is at the root: a dimension as text, a metric as a number.
    targets = {name for names in directive["Dimensions"] for name in names}
    metrics = {metric["Name"] for metric in directive["Metrics"]}
    assert set(document) == targets | metrics
    assert all(0 < len(document[name]) <= 1024 for name in targets)
    assert all(type(document[name]) in (int, float) for name in metrics)


def test_emf_document_when_made_says_what_was_counted() -> None:
    document = emf_document(lane(), at_s=AT_S)
    figures = ("Lane", "QueueDepth", "OldestWait", "InFlight")
    assert [document[name] for name in figures] == ["remote", 4, 12.346, 7]
    assert emf_document(lane(oldest_wait=None), at_s=AT_S)["OldestWait"] == 0

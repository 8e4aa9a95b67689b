"""Publishes lane metrics: Prometheus gauges, and CloudWatch log lines."""

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import TextIO

from prometheus_client import Gauge

from safelight.db import Connection
from safelight.db.engine import Database
from safelight.jobs.scheduling import lane_counts, presence
from safelight.jobs.scheduling.lane_counts import Flight, LaneCount
from safelight.jobs.scheduling.presence import Process
from safelight.telemetry import OLDEST_WAIT, QUEUE_DEPTH

PAUSED = Gauge("safelight_lane_paused", "1 while the lane starts nothing.", ("lane",))
IN_FLIGHT = Gauge(
    "safelight_in_flight", "Jobs with a worker or a provider, over all workers.", ("lane",)
)
PROVIDER_IN_FLIGHT = Gauge(
    "safelight_provider_in_flight",
    "Jobs with a worker or a provider, over all workers.",
    ("provider",),
)
WORKERS = Gauge("safelight_workers", "Living workers that serve the lane.", ("lane",))
PROCESSES = Gauge("safelight_processes", "Living processes with the role.", ("role",))
_NAMESPACE = "Safelight"
_UNITS = {"QueueDepth": "Count", "OldestWait": "Seconds", "InFlight": "Count"}


class Signals:
    """Counts the lanes in the database and publishes the metrics.

    Queue depths are counted up to `lane_counts.COUNTED`. Every janitor publishes the same values,
    so alarms and graphs must use the Maximum (or Average) of a metric, never the Sum.
    """

    def __init__(
        self, database: Database, emf: TextIO | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Publish gauges, and lines in CloudWatch embedded metric format to `emf` if given."""
        self._db = database
        self._emf = emf
        self._clock = clock
        self._lanes: set[str] = set()
        self._providers: set[str] = set()
        self._roles: set[str] = set()

    async def publish(self) -> None:
        """Set all gauges, to 0 for vanished lanes, and write a line for each lane."""
        lanes, flight, known = await self._db.read(_measure)
        self._set_lanes(lanes)
        self._set_processes([each for each in known if each.alive])
        self._set_providers({name: found.total for name, found in flight.providers.items()})
        if self._emf is None:
            return
        for lane in lanes:
            self._emf.write(f"{json.dumps(emf_document(lane, at_s=self._clock()))}\n")
        self._emf.flush()

    def _set_lanes(self, lanes: list[LaneCount]) -> None:
        for lane in lanes:
            QUEUE_DEPTH.labels(lane.name).set(lane.due)
            OLDEST_WAIT.labels(lane.name).set(_seconds(lane))
            IN_FLIGHT.labels(lane.name).set(lane.in_flight.total)
            PAUSED.labels(lane.name).set(lane.paused_at is not None)
        names = {lane.name for lane in lanes}
        for name in self._lanes - names:
            for gauge in (QUEUE_DEPTH, OLDEST_WAIT, IN_FLIGHT, PAUSED):
                gauge.labels(name).set(0)
        self._lanes |= names

    def _set_processes(self, alive: list[Process]) -> None:
        workers = Counter(lane for each in alive for lane, slots in each.lanes.items() if slots)
        roles = Counter(role for each in alive for role in each.roles)
        for lane in self._lanes:
            WORKERS.labels(lane).set(workers[lane])
        for role in self._roles | set(roles):
            PROCESSES.labels(role).set(roles[role])
        self._roles |= set(roles)

    def _set_providers(self, in_flight: dict[str, int]) -> None:
        for name in self._providers | set(in_flight):
            PROVIDER_IN_FLIGHT.labels(name).set(in_flight.get(name, 0))
        self._providers |= set(in_flight)


def emf_document(lane: LaneCount, *, at_s: float) -> dict[str, object]:
    """Return a lane's metrics in Amazon CloudWatch's embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    return {
        "_aws": {
            "Timestamp": int(at_s * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": _NAMESPACE,
                    "Dimensions": [["Lane"]],
                    "Metrics": [{"Name": name, "Unit": unit} for name, unit in _UNITS.items()],
                }
            ],
        },
        "Lane": lane.name,
        "QueueDepth": lane.due,
        "OldestWait": _seconds(lane),
        "InFlight": lane.in_flight.total,
    }


def _measure(tx: Connection) -> tuple[list[LaneCount], Flight, list[Process]]:
    flight = lane_counts.count_in_flight(tx)
    return lane_counts.lane_overview(tx, flight), flight, presence.all_known(tx)


def _seconds(lane: LaneCount) -> float:
    return 0.0 if lane.oldest_wait is None else round(lane.oldest_wait.total_seconds(), 3)

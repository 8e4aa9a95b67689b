"""The history of one run, by all its witnesses: callers, database, disk and the provider."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol, TypeVar

FINAL = frozenset({"succeeded", "failed", "canceled"})


@dataclass(frozen=True)
class Wish:
    """A caller's request, under a prompt of its own, and its allowed endings.

    `endings` names statuses, or for failures their codes. `job_ids` are all that were answered.
    """

    prompt: str
    outputs: int
    endings: frozenset[str]
    job_ids: frozenset[str]


@dataclass(frozen=True)
class Job:
    """A row of `jobs`, as it was at the end."""

    id: str
    prompt: str
    status: str
    code: str | None
    repeatable: bool
    crashes: int
    seq: int
    model: str = "fake"
    cost_micros: int | None = 0
    cost_known_micros: int | None = 0
    finished_at: datetime | None = None

    @property
    def ending(self) -> str:
        """The code of a failure, else the status."""
        return self.code or "failed" if self.status == "failed" else self.status


@dataclass(frozen=True)
class Attempt:
    """A row of `attempts`."""

    id: str
    job_id: str
    number: int
    state: str
    outcome: str | None
    ticket: str | None
    code: str | None
    ground: str
    cost_micros: int | None = 0
    closed_at: datetime | None = None
    unknown_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Say whether something is known, or feared, to go on at the provider."""
        return self.state != "closed"


@dataclass(frozen=True)
class Event:
    """A row of `events` about a job."""

    job_id: str
    seq: int
    type: str


@dataclass(frozen=True)
class Asset:
    """A row of `assets`, and the keys of all objects that it names."""

    id: str
    job_id: str
    position: int
    keys: frozenset[str]


@dataclass(frozen=True)
class Call:
    """A line of the provider's own ledger."""

    what: str  # start, refuse, ticket, check, end, fail, cancel or absent
    attempt_id: str
    ticket: str | None
    prompt: str = ""
    at: float = 0.0  # seconds since 1970
    cost_micros: int = 0  # of an end, a failure, or a confirmed cancel
    is_confirmed: bool = False  # of a cancel


@dataclass(frozen=True)
class Work:
    """The provider's own record of one attempt."""

    begun: bool
    ticket: str | None
    has_ended: bool
    has_failed: bool
    is_canceled: bool
    cost_micros: int | None  # None: it has told nobody

    @property
    def is_over(self) -> bool:
        """Say whether the provider has told somebody that nothing of it goes on."""
        return self.has_ended or self.has_failed or self.is_canceled


@dataclass(frozen=True)
class Sighting:
    """The API's answer about a job at some moment of the run."""

    job_id: str
    status: str
    outputs: tuple[str, ...]


class _OfJob(Protocol):
    @property
    def job_id(self) -> str: ...


T = TypeVar("T", bound=_OfJob)


@dataclass(frozen=True)
class History:
    """All of it; sightings stand in the order in which they were made."""

    wishes: tuple[Wish, ...]
    jobs: tuple[Job, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[Event, ...]
    assets: tuple[Asset, ...]
    calls: tuple[Call, ...]
    sightings: tuple[Sighting, ...]
    stored_keys: frozenset[str]
    noted_keys: frozenset[str] = frozenset()  # that a sweep will remove

    @cached_property
    def attempts_of(self) -> Mapping[str, list[Attempt]]:
        """Each job's attempts, first to last."""
        return by_job(sorted(self.attempts, key=lambda attempt: attempt.number))

    @cached_property
    def events_of(self) -> Mapping[str, list[Event]]:
        """Each job's events, first to last."""
        return by_job(sorted(self.events, key=lambda event: event.seq))

    @cached_property
    def assets_of(self) -> Mapping[str, list[Asset]]:
        """Each job's outputs, in order."""
        return by_job(sorted(self.assets, key=lambda asset: asset.position))

    @cached_property
    def sightings_of(self) -> Mapping[str, list[Sighting]]:
        """The sightings of each job, oldest first."""
        return by_job(self.sightings)

    @cached_property
    def found_late(self) -> frozenset[str]:
        """Jobs that failed as unknown, until the result of their last call was found."""
        return frozenset(
            job_id
            for job_id, told in self.events_of.items()
            if [event.type for event in told][-2:] == ["job.failed", "job.succeeded"]
            and (tries := self.attempts_of.get(job_id))
            and (tries[-1].ticket, tries[-1].outcome) == (None, "succeeded")
        )

    @cached_property
    def works(self) -> Mapping[str, Work]:
        """The provider's books, by attempt; cancels name the ticket alone."""
        attempt_of = {call.ticket: call.attempt_id for call in self.calls if call.what == "ticket"}
        said: defaultdict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            if call.what != "cancel":
                said[call.attempt_id].append(call)
            elif call.is_confirmed and call.ticket in attempt_of:
                said[attempt_of[call.ticket]].append(call)
        return {attempt_id: _work(calls) for attempt_id, calls in said.items()}

    def attempts_called(self, what: str) -> list[str]:
        """Return the attempt of every call of one kind, as often as it was made."""
        return [call.attempt_id for call in self.calls if call.what == what]


def _work(calls: Iterable[Call]) -> Work:
    of = {call.what: call for call in calls}
    last_words = [of[what] for what in ("end", "fail", "cancel") if what in of]
    return Work(
        begun="start" in of and "refuse" not in of,
        ticket=of["ticket"].ticket if "ticket" in of else None,
        has_ended="end" in of,
        has_failed="fail" in of,
        is_canceled="cancel" in of,
        cost_micros=last_words[0].cost_micros if last_words else None,
    )


def by_job(things: Iterable[T]) -> Mapping[str, list[T]]:
    """Return `things` by their job, each list in the order given."""
    found: defaultdict[str, list[T]] = defaultdict(list)
    for thing in things:
        found[thing.job_id].append(thing)
    return found

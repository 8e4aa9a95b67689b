"""The random requests of a chaos run's callers: one plan for each job."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_NEVER_S = 600.0  # longer than any run: only a cancel ends it
_HALF = 0.5
SUCCEEDED = frozenset({"succeeded"})


@dataclass(frozen=True)
class Plan:
    """One job: what is asked for, when, and what else its caller does to it."""

    prompt: str
    account: int
    at_s: float  # since the beginning
    model: str
    params: Mapping[str, Any]
    endings: frozenset[str] = SUCCEEDED
    later_s: float | None = None  # asks for a start that much later
    cancel_after_s: float | None = None
    is_sent_twice: bool = False

    @property
    def outputs(self) -> int:
        """How many pictures a success has."""
        return self.params["outputs"]


_Draw = Callable[[random.Random], dict[str, Any]]


def _quick(chance: random.Random) -> dict[str, Any]:
    return {"params": {"seconds": chance.uniform(0, 0.5)}}


def _held(chance: random.Random) -> dict[str, Any]:
    """Work that holds its worker long enough to meet a fault, and costs nothing to repeat."""
    return {"params": {"seconds": chance.uniform(0.5, 3)}}


def _ticketed(chance: random.Random) -> dict[str, Any]:
    return {"params": {"seconds": chance.uniform(0.2, 4), "pending": True}}


def _paid(chance: random.Random) -> dict[str, Any]:
    return _costing("fake-paid", chance, seconds=chance.uniform(0.2, 3))


def _paid_ticketed(chance: random.Random) -> dict[str, Any]:
    return _costing("fake-paid", chance, seconds=chance.uniform(0.2, 4), pending=True)


def _paid_queued(chance: random.Random) -> dict[str, Any]:
    """Work whose vendor can be asked for it when the answer to its start is lost."""
    return _costing("fake-queue", chance, seconds=chance.uniform(0.2, 4), pending=True)


def _paid_lost(chance: random.Random) -> dict[str, Any]:
    drawn = _paid_queued(chance)
    drawn["params"]["errors"] = ["unknown_outcome"]
    return drawn


def _paid_lost_for_good(chance: random.Random) -> dict[str, Any]:
    drawn = _costing("fake-paid", chance, errors=["unknown_outcome"])
    return drawn | {"endings": frozenset({"unknown_outcome"})}


def _flaky(chance: random.Random) -> dict[str, Any]:
    model = chance.choice(("fake", "fake-paid"))
    return {"model": model, "params": {"seconds": 0.1, "errors": ["provider_failed"]}}


def _doomed(chance: random.Random) -> dict[str, Any]:
    errors = ["provider_rejected"] * chance.randint(8, 16)  # more than there can be starts
    return {"params": {"errors": errors}, "endings": frozenset({"provider_rejected"})}


def _paid_in_vain(chance: random.Random) -> dict[str, Any]:
    """Work that the vendor charges for, although it failed."""
    pending = chance.random() < _HALF
    drawn = _costing("fake-paid", chance, seconds=1, pending=pending, verdict="content_refused")
    return drawn | {"endings": frozenset({"content_refused"})}


def _canceled(chance: random.Random) -> dict[str, Any]:
    """Work that only a cancel ends; a paid call is never hung up, so that one has a ticket."""
    model = chance.choice(("fake", "fake-paid", "fake-queue"))
    pending = model != "fake" or chance.random() < _HALF
    return _costing(
        model, chance, seconds=_NEVER_S, pending=pending, slow_cancel=chance.random() < _HALF
    ) | {"endings": frozenset({"canceled"}), "cancel_after_s": chance.uniform(0.1, 4)}


def _canceled_anywhere(chance: random.Random) -> dict[str, Any]:
    """Work that is canceled at any step of it, or after its end."""
    drawn = chance.choice((_paid, _paid_ticketed, _paid_queued, _paid_lost))(chance)
    drawn["params"]["slow_cancel"] = chance.random() < _HALF
    return drawn | {
        "endings": frozenset({"canceled", "succeeded"}),
        "cancel_after_s": chance.uniform(0, 4),
    }


def _delayed(chance: random.Random) -> dict[str, Any]:
    return {"params": {"seconds": 0.1}, "later_s": chance.uniform(1, 8)}


def _costing(model: str, chance: random.Random, **params: Any) -> dict[str, Any]:
    cost = 0 if model == "fake" else chance.randint(1, 1000)
    return {"model": model, "params": {"cost_micros": cost, **params}}


_KINDS: Mapping[_Draw, int] = {  # and their weights
    _quick: 15,
    _held: 15,
    _ticketed: 15,
    _paid: 15,
    _paid_ticketed: 10,
    _paid_queued: 10,
    _paid_lost: 5,
    _paid_lost_for_good: 1,
    _paid_in_vain: 3,
    _flaky: 5,
    _doomed: 3,
    _canceled: 8,
    _canceled_anywhere: 15,
    _delayed: 5,
}


def draw(chance: random.Random, jobs: int, accounts: int, seconds: float) -> list[Plan]:
    """Return plans for `jobs` jobs, in order of time, of which each kind has some."""
    kinds = [*_KINDS, *chance.choices([*_KINDS], [*_KINDS.values()], k=jobs)][:jobs]
    chance.shuffle(kinds)
    moments = sorted(chance.uniform(0, seconds) for _ in kinds)
    return [
        _plan(chance, number, accounts, *pair)
        for number, pair in enumerate(zip(moments, kinds, strict=True))
    ]


def _plan(chance: random.Random, number: int, accounts: int, at_s: float, kind: _Draw) -> Plan:
    drawn = kind(chance)
    params = {"outputs": chance.randint(0, 2), **drawn.pop("params")}
    name = kind.__name__.removeprefix("_")
    return Plan(
        prompt=f"{name} {number}",
        account=chance.randrange(accounts),
        at_s=at_s,
        params=params,
        is_sent_twice=chance.random() < 0.1,
        **{"model": "fake", **drawn},
    )

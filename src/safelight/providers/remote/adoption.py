"""Recognizes an order whose answer was lost among those that its vendor lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from safelight.providers.provider import Kind, LostStart

_APART = timedelta(minutes=1)  # the vendor's clock and the database's


@dataclass(frozen=True, slots=True)
class Wanted:
    """When the order was made and what it asked for.

    Vendors carry no id of ours, so it is known by its whole input. That is as good as an id where
    a seed is in it, which is drawn anew for each job. `pictures` are fields that are not compared,
    as what they held is gone.
    """

    since: datetime
    until: datetime
    told: Mapping[str, Any]
    pictures: frozenset[str]

    @classmethod
    def read(
        cls, lost: LostStart, told: Mapping[str, Any], pictures: frozenset[str], within: timedelta
    ) -> Self | None:
        """Return what to look for, None where it could not be told from another order.

        `within` is how long the start may have taken.
        """
        has_pictures = lost.request.kind is not Kind.TEXT_TO_IMAGE
        if has_pictures and "seed" not in lost.request.params:
            return None
        ignored = pictures if has_pictures else frozenset[str]()
        since, until = lost.sent_at - _APART, lost.sent_at + within + _APART
        return cls(since, until, _without(told, ignored), ignored)

    def is_in(self, made_at: datetime, told: object) -> bool:
        """Say whether an order of that time and input may be the one."""
        if not self.since <= made_at <= self.until or not isinstance(told, dict):
            return False
        return _without(cast("dict[str, Any]", told), self.pictures) == self.told


def only(tickets: set[str]) -> str | None:
    """Return the one ticket that fits; of two, neither is known to be it."""
    return next(iter(tickets)) if len(tickets) == 1 else None


def time_of(text: object) -> datetime | None:
    """Return a time as vendors write it (ISO 8601, UTC where no zone is told), None for no time."""
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time


def _without(told: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in names}

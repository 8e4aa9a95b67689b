"""Matches a request whose response was lost against the vendor's list of requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from safelight.json_object import JsonObject
from safelight.providers.provider import Kind, LostStart

_APART = timedelta(minutes=1)  # clock skew between the vendor and the database


@dataclass(frozen=True, slots=True)
class Wanted:
    """Time span and input of the request to find.

    Vendors do not store our ids, so the request is matched by its complete input. With a seed,
    which is drawn anew for each job, the input is as unique as an id. Fields in `pictures` are not
    compared, since their values are gone.
    """

    since: datetime
    until: datetime
    told: Mapping[str, Any]
    pictures: frozenset[str]

    @classmethod
    def read(
        cls, lost: LostStart, told: Mapping[str, Any], pictures: frozenset[str], within: timedelta
    ) -> Self | None:
        """Return the search, or None if the input would not be unique.

        `within` is how long the start may have taken.
        """
        has_pictures = lost.request.kind is not Kind.TEXT_TO_IMAGE
        if has_pictures and "seed" not in lost.request.params:
            return None
        ignored = pictures if has_pictures else frozenset[str]()
        since, until = lost.sent_at - _APART, lost.sent_at + within + _APART
        return cls(since, until, _without(told, ignored), ignored)

    def is_in(self, made_at: datetime, told: object) -> bool:
        """Return whether a listed request with that time and input matches."""
        if not self.since <= made_at <= self.until or not isinstance(told, dict):
            return False
        return _without(cast("JsonObject", told), self.pictures) == self.told


def only(tickets: set[str]) -> str | None:
    """Return the ticket if exactly one matches; two matches are ambiguous."""
    return next(iter(tickets)) if len(tickets) == 1 else None


def time_of(text: object) -> datetime | None:
    """Parse an ISO 8601 time, UTC if it has no zone; None if it is invalid."""
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time


def _without(told: Mapping[str, Any], names: frozenset[str]) -> JsonObject:
    return {name: value for name, value in told.items() if name not in names}

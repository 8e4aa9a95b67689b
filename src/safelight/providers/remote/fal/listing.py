"""Lists an account's requests to one model, from fal's platform API."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self, cast

from safelight.json_object import as_object
from safelight.providers.errors import ProviderError
from safelight.providers.remote.adoption import time_of
from safelight.providers.remote.api import Api, Sending

# https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint
_PATH = "/models/requests/by-endpoint"
_PAGE = 100
_MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """One listed request; `told` is its input, or None if the account stores no payloads."""

    id: str
    sent_at: datetime
    told: object

    @classmethod
    def read(cls, entry: object) -> Self | None:
        """Parse a list entry; None if it is invalid."""
        told = as_object(entry)
        request_id, sent_at = told.get("request_id"), time_of(told.get("sent_at"))
        if not isinstance(request_id, str) or sent_at is None:
            return None
        return cls(request_id, sent_at, told.get("json_input"))


async def requests_since(
    api: Api, endpoint: str, since: datetime, answer_s: float
) -> list[Listed] | None:
    """Return all requests since `since`, or None if there are too many.

    `answer_s` is the deadline of each page.
    """
    # fal may apply it to a request's end, which is after its start: none is missed either way.
    asked = {
        "endpoint_id": endpoint,
        "start": since.isoformat(),
        "limit": str(_PAGE),
        "expand": "payloads",
    }
    found: list[Listed] = []
    cursor: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        answer = await api.call("GET", _PATH, Sending(params=asked | cursor), answer_s=answer_s)
        told = as_object(answer.document)
        items = told.get("items")
        if not isinstance(items, list):
            raise ProviderError("The provider's list of requests is invalid.")
        found += [one for one in map(Listed.read, cast("list[object]", items)) if one]
        if not told.get("has_more"):
            return found
        cursor = {"cursor": str(told.get("next_cursor") or "")}
    return None

"""Lists an account's predictions within a time span, newest first."""

from datetime import datetime
from typing import cast
from urllib.parse import urlsplit

from safelight.json_object import as_object
from safelight.providers.errors import ProviderError
from safelight.providers.remote.api import Api, Sending
from safelight.providers.remote.replicate.prediction import Prediction

_MOST_PAGES = 20  # of 100 predictions each


async def predictions(
    api: Api, since: datetime, until: datetime, answer_s: float
) -> list[Prediction] | None:
    """Return the predictions created in the span, or None if there are too many pages.

    The server's filter is checked here again. `answer_s` is the deadline of each page.
    """
    span = {"created_after": since.isoformat(), "created_before": until.isoformat()}
    at, sending = "/predictions", Sending(params=span)
    found: list[Prediction] = []
    for _ in range(_MOST_PAGES):
        document = (await api.call("GET", at, sending, answer_s=answer_s)).document
        told = as_object(document)
        results = told.get("results")
        if not isinstance(results, list):
            raise ProviderError("The provider's list of predictions is invalid.")
        page = [one for one in map(Prediction.read, cast("list[object]", results)) if one]
        times = [(one, one.created_at) for one in page]
        found += [one for one, time in times if time and since <= time <= until]
        following = told.get("next")
        if not following or any(time and time < since for _, time in times):
            return found
        if not isinstance(following, str) or not _is_at(following, api.base_url):
            raise ProviderError("The provider's list of predictions links to another server.")
        at, sending = following, Sending()
    return None


def _is_at(address: str, base_url: str) -> bool:
    """Return whether a URL is on the same server, since it is sent our token."""
    try:
        there, here = urlsplit(address), urlsplit(base_url)
    except ValueError:
        return False
    return (there.scheme, there.netloc) == (here.scheme, here.netloc)

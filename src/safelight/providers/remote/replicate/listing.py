"""Reads the account's predictions of a span of time, newest first, as Replicate lists them."""

from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

from safelight.providers.errors import ProviderError
from safelight.providers.remote.api import Api, Sending
from safelight.providers.remote.replicate.prediction import Prediction

_MOST_PAGES = 20  # of 100 predictions each


async def predictions(
    api: Api, since: datetime, until: datetime, answer_s: float
) -> list[Prediction] | None:
    """Return those that were created within, None where there are too many to read them all.

    The span is asked for, and held to here as well. `answer_s` is for each page.
    """
    span = {"created_after": since.isoformat(), "created_before": until.isoformat()}
    at, sending = "/predictions", Sending(params=span)
    found: list[Prediction] = []
    for _ in range(_MOST_PAGES):
        document = (await api.call("GET", at, sending, answer_s=answer_s)).document
        told = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
        results = told.get("results")
        if not isinstance(results, list):
            raise ProviderError("The provider's list of predictions cannot be read.")
        page = [one for one in map(Prediction.read, cast("list[object]", results)) if one]
        times = [(one, one.created_at) for one in page]
        found += [one for one, time in times if time and since <= time <= until]
        following = told.get("next")
        if not following or any(time and time < since for _, time in times):
            return found
        if not isinstance(following, str) or not _is_at(following, api.base_url):
            raise ProviderError("The provider's list of predictions leads elsewhere.")
        at, sending = following, Sending()
    return None


def _is_at(address: str, base_url: str) -> bool:
    """Say whether an address is of the same server: our token is for nobody else."""
    try:
        there, here = urlsplit(address), urlsplit(base_url)
    except ValueError:
        return False
    return (there.scheme, there.netloc) == (here.scheme, here.netloc)

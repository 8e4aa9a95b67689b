"""The guarded downloader: the only way files from the network come in."""

from safelight.fetch.download import Fetched, Fetcher
from safelight.fetch.guard import Resolver
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.post import Posted, Poster
from safelight.fetch.proxy import Proxy
from safelight.fetch.url import check_url

__all__ = [
    "FetchPolicy",
    "Fetched",
    "Fetcher",
    "Posted",
    "Poster",
    "Proxy",
    "Resolver",
    "check_url",
]

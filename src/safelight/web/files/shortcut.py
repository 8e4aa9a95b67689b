"""Answers requests for files kept in memory before they reach the framework."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from safelight.web.errors import TooManyRequests
from safelight.web.files.conditions import names
from safelight.web.files.hot_files import HotFiles, Kept
from safelight.web.rates import Rates

_PREFIX = "/files/"
# Requests for parts take the long way, as those with parameters do.
_CONDITIONS = frozenset({b"range", b"if-range"})


@dataclass(frozen=True, slots=True)
class _Route:
    """The name of the route in metrics."""

    path: str


_ROUTE = _Route("/files/{key:path}")


class Shortcut:
    """Answers from `files` if it can; `app` answers the rest."""

    def __init__(self, app: ASGIApp, files: HotFiles, rates: Rates, most_per_s: float) -> None:
        self._app = app
        self._files = files
        self._rates = rates
        self._most_per_s = most_per_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = self._find(scope)
        if kept is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE
        condition = next(
            (value for name, value in scope["headers"] if name == b"if-none-match"), b""
        )
        if names(condition.decode("latin-1"), kept.etag):
            status, headers, body = 304, kept.headers_304, b""
        else:
            status, headers, body = 200, kept.headers, kept.body
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _find(self, scope: Scope) -> Kept | None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            return None
        path: str = scope["path"]
        if not path.startswith(_PREFIX) or scope["query_string"]:
            return None
        key = path.removeprefix(_PREFIX)
        kept = self._files.get(key)
        if kept is None or not _is_plain(scope["headers"]):
            return None
        try:
            self._rates.take(key, self._most_per_s)
        except TooManyRequests:
            return None  # the long way refuses it, too, and says why
        return kept


def _is_plain(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return not any(name in _CONDITIONS for name, _ in headers)

"""Builds the web application: routes, request limits, request ids and response headers."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from safelight import ids, telemetry
from safelight.accounts.account import Credential
from safelight.errors import InvalidRequest, NotFound, SafelightError
from safelight.web import openapi, pages, problems
from safelight.web.api import (
    account,
    accounts,
    admin,
    assets,
    batches,
    callbacks,
    checks,
    contacts,
    files,
    formats,
    health,
    jobs,
    keys,
    pictures,
    submit,
    trash,
    usage,
    webhooks,
)
from safelight.web.api.people import logins, members, myself, providers, users
from safelight.web.compression import Compression
from safelight.web.errors import KeyInUrl, TooLarge
from safelight.web.files.hot_files import RawHeaders
from safelight.web.files.shortcut import Shortcut
from safelight.web.hosts import Hosts, misdirected
from safelight.web.services import Services

_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:{files}; connect-src 'self' blob: data:{files}; "
    "script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"  # nothing of it is a page
_DATA_PATHS = ("/v1/", "/problems/", "/callbacks/", "/health", "/metrics")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_CORS_S = 600  # for which a browser keeps the response to a preflight
_KEY = re.compile(
    rf"(?<![0-9A-Za-z])(?:{Credential.KEY.value}|{Credential.SESSION.value})[0-9a-z]{{32}}(?![0-9a-z])".encode()
)
_log = telemetry.logger("safelight.http")


def build(services: Services, *, version: str) -> FastAPI:
    """Return the application; it owns nothing that needs closing."""
    app = FastAPI(
        title="Safelight",
        version=version,
        description="Asynchronous media jobs: text to image, import by URL, image to 3D.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # web/openapi.py publishes its own
        redirect_slashes=False,  # or redirects would lead to whatever Host the caller sent
        generate_unique_id_function=openapi.operation_id,
    )
    openapi.install(app)
    app.state.services = services
    app.state.reached_at = {}
    problems.install(app)
    for router in (
        files.router,  # the busiest first: routes are matched in order
        submit.router,
        accounts.router,
        admin.router,
        admin.jobs_router,
        callbacks.router,
        checks.router,
        batches.router,
        contacts.router,
        jobs.router,
        assets.router,
        pictures.router,
        formats.router,
        trash.router,
        trash.audit_router,
        keys.router,
        logins.router,
        myself.router,
        members.router,
        providers.router,
        users.router,
        usage.router,
        webhooks.router,
        account.router,
        health.router,
    ):
        app.include_router(router)
    pages.install(app)
    return app


def build_probes(services: Services, *, version: str) -> FastAPI:
    """Return the application of a process without the API: its health and its metrics."""
    app = FastAPI(title="Safelight", version=version, docs_url=None, redoc_url=None)
    app.state.services = replace(  # its port is for machines alone
        services, health=replace(services.health, open_probes=True)
    )
    app.state.reached_at = {}
    problems.install(app)
    app.include_router(health.router)
    return app


def wrap(app: FastAPI, services: Services) -> ASGIApp:
    """Wrap `app` in the outermost middleware, which unexpected errors pass through too."""
    policy = _PAGE_POLICY.format(files="".join(f" {each}" for each in services.files.origins))
    files = services.files
    return _Edge(
        _opened(
            Shortcut(Compression(app), files.hot, files.rates, files.most_per_s), services.hosts
        ),
        hosts=services.hosts,
        max_body_bytes=services.entry.limits.body_bytes,
        policy=policy,
    )


def _opened(app: ASGIApp, hosts: Hosts) -> ASGIApp:
    """Let pages of the configured origins call `app`, without cookies."""
    if not hosts.cors_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=hosts.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["*"],
        max_age=_CORS_S,
    )


class _Edge:
    """Gives each request an id, a log line, a size limit and safe headers."""

    def __init__(self, app: ASGIApp, *, hosts: Hosts, max_body_bytes: int, policy: str) -> None:
        self._app = app
        self._hosts = hosts
        self._max = max_body_bytes
        usual = dict(_HEADERS)
        if hosts.public_url.startswith("https:"):
            usual["Strict-Transport-Security"] = "max-age=31536000"
        self._of_pages = _raw(usual | {"Content-Security-Policy": policy})
        self._of_data = _raw(usual | {"Content-Security-Policy": _DATA_POLICY})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = _inner_path(scope["path"], self._hosts.prefix)
        request_id = ids.new("request")
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        is_data = scope["path"].startswith(_DATA_PATHS)
        usual = self._of_data if is_data else self._of_pages
        status = 500
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, request_id, usual)
            await send(message)

        if refusal := self._refusal(scope, Headers(scope=scope)):
            await problems.respond(Request(scope), refusal)(scope, receive, answer)
        else:
            await self._app(scope, self._metered(receive), answer)
        _note(scope, status, time.perf_counter() - began)

    def _refusal(self, scope: Scope, headers: Headers) -> SafelightError | None:
        # No text in PostgreSQL contains NUL, so nothing has such an id or cursor.
        if "\0" in scope["path"]:
            return NotFound()
        query = scope["query_string"]
        if b"%00" in query:
            return InvalidRequest("The query contains a NUL character.")
        if query and _KEY.search(unquote_to_bytes(query)):
            return KeyInUrl(
                "Send `Authorization: Bearer YOUR_KEY`. URLs stay in logs and histories: replace "
                "this key with `safelight keys rotate`."
            )
        host = headers.get("host")
        if host and self._hosts.is_local and not self._hosts.knows(host):
            return misdirected(host)
        if _declared_length(headers) > self._max:
            return TooLarge(f"At most {self._max} bytes are taken.")
        return None

    def _metered(self, receive: Receive) -> Receive:
        """Count the body while it streams, so that the limit holds without a Content-Length."""
        seen = 0

        async def metered() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._max:
                    raise TooLarge(f"At most {self._max} bytes are taken.")
            return message

        return metered


def _inner_path(path: str, prefix: str) -> str:
    """Return the path without the public URL's, which a proxy may have removed already."""
    if prefix and path.startswith(f"{prefix}/"):
        path = path.removeprefix(prefix)
    return path.rstrip("/") if path.startswith("/v1/") else path


def _declared_length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text[:18]) if text.isdecimal() else 0


def _raw(headers: Mapping[str, str]) -> RawHeaders:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _add_headers(message: Message, request_id: str, usual: Iterable[tuple[bytes, bytes]]) -> None:
    headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
    present = {name for name, _ in headers}
    headers.append((b"x-request-id", request_id.encode()))
    headers += [each for each in usual if each[0] not in present]
    # Without this, caches may apply heuristics: one CDN caches for a day.
    if b"etag" not in present and b"cache-control" not in present:
        headers.append((b"cache-control", b"no-store"))
    message["headers"] = headers


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    path = getattr(route, "path", "unmatched")
    telemetry.REQUESTS.labels(scope["method"], path, status).observe(seconds)
    account_id = scope["state"].get("account_id")
    # Reads are many; metrics count them.
    quiet = scope["method"] in ("GET", "HEAD") and status < HTTPStatus.INTERNAL_SERVER_ERROR
    write = _log.debug if quiet else _log.info
    write(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=status,
        ms=round(seconds * 1000, 1),
        **({"account_id": account_id} if account_id else {}),
    )

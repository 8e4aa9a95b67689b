"""Builds the web application: routes, request limits, request ids and response headers."""

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
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
from safelight.web.api.people import logins, members, myself, users
from safelight.web.compression import Compression
from safelight.web.errors import KeyInUrl, TooLarge
from safelight.web.hosts import Hosts, misdirected
from safelight.web.services import Services

_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:{files}; connect-src 'self' blob: data:{files}; "
    "script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
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
    return _Edge(
        Compression(app),
        hosts=services.hosts,
        max_body_bytes=services.entry.limits.body_bytes,
        policy=policy,
    )


class _Edge:
    """Gives each request an id, a log line, a size limit and safe headers."""

    def __init__(self, app: ASGIApp, *, hosts: Hosts, max_body_bytes: int, policy: str) -> None:
        self._app = app
        self._hosts = hosts
        self._max = max_body_bytes
        self._headers = _HEADERS | {"Content-Security-Policy": policy}
        if hosts.public_url.startswith("https:"):
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = _inner_path(scope["path"], self._hosts.prefix)
        request_id = ids.new("request")
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 500
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id, self._headers)
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


def _add_headers(headers: MutableHeaders, request_id: str, usual: Mapping[str, str]) -> None:
    headers["X-Request-ID"] = request_id
    for name, value in usual.items():
        headers.setdefault(name, value)
    # Without this, caches may apply heuristics: one CDN caches for a day.
    if "ETag" not in headers:
        headers.setdefault("Cache-Control", "no-store")


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

"""Serves the web page, and its static files under a name that changes with their content."""

import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from safelight.web.files.conditions import has_it

PEOPLE = ("signin", "forgotten", "password", "email", "invitation", "security")
"""Pages of people, which one file holds; links in mails lead to them."""

_STATIC = Path(__file__).parent / "static"
_FOREVER = "public, max-age=31536000, immutable"
_VERSION = re.compile(r"[0-9a-f]{16}")


def install(app: FastAPI) -> None:
    """Add the pages to `app`. Their addresses are relative: the page works under any prefix."""

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _page(request, "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return _page(request, "docs.html")

    async def people(request: Request) -> Response:
        return _page(request, "people.html")

    for name in PEOPLE:
        app.add_api_route(f"/{name}", people, include_in_schema=False)

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> FileResponse:
        return FileResponse(_STATIC / "favicon.svg", media_type="image/svg+xml")

    app.mount("/static", _Versioned(directory=_STATIC), name="static")
    _ = page, docs, favicon


class _Versioned(StaticFiles):
    """`VERSION/PATH` is kept by caches forever, `PATH` is asked for each time.

    Modules import each other by relative addresses, so the version comes before the path.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        first, _, rest = path.partition("/")
        is_versioned = bool(_VERSION.fullmatch(first))
        response = await super().get_response(rest if is_versioned else path, scope)
        # During an update two versions of the server may run: each has its own files alone.
        is_current = first == _version()
        response.headers["Cache-Control"] = _FOREVER if is_current else "no-cache"
        return response


def _page(request: Request, name: str) -> Response:
    text, etag = _text(name)
    headers = {"Cache-Control": "no-cache", "ETag": etag}
    if has_it(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(text, 200, headers, "text/html")


@cache
def _text(name: str) -> tuple[str, str]:
    """Return a page whose static files have versions, and its ETag."""
    page = (_STATIC / name).read_text()
    text = page.replace('"static/', f'"static/{_version()}/')
    return text, f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


@cache
def _version() -> str:
    """Return a digest of all static files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in _STATIC.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(_STATIC)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]

"""The outermost layer: probes, compression, caching, and the addresses that documents carry."""

import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import brotli
import httpx2
import pytest
from starlette.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from safelight.accounts.scopes import MEMBER_SCOPES, OWNER_SCOPES, Scope
from safelight.app import Safelight, open_safelight
from safelight.cli.hosting.host import server_config
from safelight.foundation import ProcessRole
from safelight.settings import Settings
from safelight.web.compression import Compression, zstd
from tests import pictures

PUBLIC = "https://media.test/safelight"
GOOGLES_KEEP_ALIVE_S = 600  # of its load balancers; nginx and AWS have 60
_DECODERS = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Safelight]:
    async with open_safelight(Settings(data_dir=folder, min_free_bytes=0, **settings)) as running:
        yield running


@asynccontextmanager
async def client(
    server: Safelight, base: str = "http://127.0.0.1:8765", *scopes: Scope
) -> AsyncIterator[httpx2.AsyncClient]:
    headers: dict[str, str] = {}
    if scopes:
        account = await server.services.accounts.ensure_first("local")
        keys = server.services.access.keys
        key = (await keys.create(account.id, "test", scopes=frozenset(scopes))).secret
        headers["Authorization"] = f"Bearer {key}"
    transport = httpx2.ASGITransport(server.asgi)
    async with httpx2.AsyncClient(transport=transport, base_url=base, headers=headers) as made:
        yield made


# --- probes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "open_to_all"),
    [
        ({}, True),
        ({"host": "0.0.0.0"}, False),  # noqa: S104  nothing is bound
        ({"host": "::"}, False),
        ({"public_url": PUBLIC}, False),
        ({"public_url": PUBLIC, "open_probes": "yes"}, True),
        ({"open_probes": "no"}, False),
    ],
    ids=str,
)
async def test_probes_when_others_can_connect_show_nothing_without_an_admin_key(
    tmp_path: Path, settings: dict[str, Any], open_to_all: bool
) -> None:
    async with opened(tmp_path, **settings) as server:
        async with client(server) as anybody:
            metrics = await anybody.get("/metrics")
            assert metrics.status_code == (200 if open_to_all else 401)
            ready = await anybody.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "ok")
            assert bool(ready.json()["checks"]) is open_to_all
        async with client(server, "http://127.0.0.1", *MEMBER_SCOPES) as member:
            assert (await member.get("/metrics")).status_code == (200 if open_to_all else 403)
        async with client(server, "http://127.0.0.1", *OWNER_SCOPES) as admin:
            assert "safelight_" in (await admin.get("/metrics")).text
            assert (await admin.get("/health/ready")).json()["checks"]


async def test_probe_port_when_others_can_connect_shows_all(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, min_free_bytes=0, host="0.0.0.0")  # noqa: S104  as above
    async with (
        open_safelight(settings, frozenset({ProcessRole.WORKER})) as worker,
        client(worker) as anybody,
    ):
        assert (await anybody.get("/metrics")).status_code == 200
        assert (await anybody.get("/health/ready")).json()["checks"]


# --- transport -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"), [(PUBLIC, "max-age=31536000"), ("http://media.test", None), ("", None)]
)
async def test_transport_security_when_the_public_url_is_https_is_demanded(
    tmp_path: Path, url: str, told: str | None
) -> None:
    async with opened(tmp_path, public_url=url) as server, client(server) as anybody:
        for path in ("/", "/v1/jobs", "/nowhere"):
            assert (await anybody.get(path)).headers.get("strict-transport-security") == told


async def test_connections_when_idle_are_kept_longer_than_by_common_clients(tmp_path: Path) -> None:
    async with opened(tmp_path) as server:
        protocol = HttpToolsProtocol(server_config(server), ServerState(), {})
        assert protocol.timeout_keep_alive > GOOGLES_KEEP_ALIVE_S


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/", "/openapi.json", "JS", "CSS"])
async def test_texts_when_the_caller_accepts_it_are_compressed(
    tmp_path: Path, encoding: str, path: str
) -> None:
    async with opened(tmp_path) as server, client(server) as anybody:
        page = (await anybody.get("/")).text
        statics = re.findall(r'"(static/[0-9a-f]{16}/[^"]+)"', page)
        path = {
            "JS": next(f"/{each}" for each in statics if each.endswith("main.js")),
            "CSS": next(f"/{each}" for each in statics if each.endswith("page.css")),
        }.get(path, path)
        plain = await anybody.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        async with anybody.stream("GET", path, headers={"Accept-Encoding": encoding}) as sent:
            raw = b"".join([piece async for piece in sent.aiter_raw()])
        assert sent.headers["content-encoding"] == encoding
        assert "accept-encoding" in sent.headers["vary"].lower()
        assert _DECODERS[encoding](raw) == plain.content
        assert len(raw) < len(plain.content) / 2


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, br, zstd", "zstd"),
        ("gzip;q=1, br;q=0.1, zstd;q=0", "br"),
        ("GZIP ; q=0.5", "gzip"),
        ("*", "zstd"),
        ("*;q=0.1, zstd;q=0, br;q=0.000", "gzip"),
        ("gzip;q=much, br;q=", "br"),
        ("identity", None),
        ("gzip;q=0", None),
        ("", None),
    ],
)
async def test_coding_when_several_are_accepted_is_the_best_of_them(
    accepted: str, coding: str | None
) -> None:
    """As a body of several pieces, the first of them empty."""
    pieces = [b"", b"a" * 999, b"", b"b" * 999]

    async def app(scope: AsgiScope, receive: Receive, send: Send) -> None:
        async def body() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        await StreamingResponse(body(), media_type="application/json")(scope, receive, send)

    transport = httpx2.ASGITransport(Compression(app))
    headers = {"Accept-Encoding": accepted}
    async with (
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as caller,
        caller.stream("GET", "/", headers=headers) as sent,
    ):
        raw = b"".join([piece async for piece in sent.aiter_raw()])
    assert sent.headers.get("content-encoding") == coding
    assert sent.headers["vary"].lower() == "accept-encoding"
    decode = _DECODERS[coding] if coding else bytes
    assert decode(raw) == b"".join(pieces)


async def test_files_and_streams_when_asked_for_are_not_compressed(tmp_path: Path) -> None:
    async with (
        opened(tmp_path) as server,
        client(server, "http://a.localhost", *OWNER_SCOPES) as api,
    ):
        accepting = {"Accept-Encoding": "gzip"}
        kept = (await api.post("/v1/uploads", files={"file": ("a.png", pictures.picture())})).json()
        assert "content-encoding" not in (await api.get(kept["url"], headers=accepting)).headers
        part = await api.get("/static/js/api.js", headers=accepting | {"Range": "bytes=0-9"})
        assert (part.status_code, "content-encoding" in part.headers) == (206, False)


# --- static files --------------------------------------------------------------------------------


async def test_static_files_when_their_name_has_the_version_are_kept_forever(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as server, client(server) as anybody:
        page = await anybody.get("/")
        assert page.headers["cache-control"] == "no-cache"
        again = await anybody.get("/", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        found = re.findall(r'(?:src|href)="([^"#]+\.(?:js|css|svg))"', page.text)
        assert len(found) > 5
        for path in found:
            assert re.match(r"static/[0-9a-f]{16}/", path)
            kept = await anybody.get(f"/{path}")
            assert kept.status_code == 200
            assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        for path in ("/static/js/api.js", f"/static/{'0' * 16}/js/api.js"):
            asked = await anybody.get(path)
            assert (asked.status_code, asked.headers["cache-control"]) == (200, "no-cache")


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    [
        "http://127.0.0.1:8765",
        "http://localhost:9000",  # ssh -L
        "http://192.168.1.20:8765",
        "http://[::1]:8765",
        "https://app.localhost",
    ],
)
async def test_documents_when_there_is_no_public_url_carry_the_address_that_was_used(
    tmp_path: Path, base: str
) -> None:
    async with (
        opened(tmp_path, host="0.0.0.0") as server,  # noqa: S104  nothing is bound
        client(server, base, *OWNER_SCOPES) as api,
    ):
        kept = (await api.post("/v1/uploads", files={"file": ("a.png", pictures.picture())})).json()
        for url in (kept["url"], kept["download_url"], kept["renditions"]["thumb"]["url"]):
            assert url.startswith(f"{base}/files/")
        made = await api.post("/v1/images", json={"url": kept["url"]})
        assert made.status_code == 202, made.text
        assert made.json()["status_url"].startswith(f"{base}/v1/jobs/")
        # Workers know the server by its configured address.
        assert made.json()["source_url"].startswith("http://127.0.0.1:8765/files/")
        for item in (kept["url"], {"image": kept["url"]}):
            batch = await api.post("/v1/batches", json={"items": [item]})
            assert batch.status_code == 202, batch.text
        many = (await api.post("/v1/images", json={"urls": [kept["url"]]})).json()
        assert many["counts"]["queued"] == 1
        private = {"file": ("b.png", pictures.picture()), "visibility": (None, "private")}
        signed = (await api.post("/v1/uploads", files=private)).json()["url"]
        assert signed.startswith(f"{base}/files/private/")
        assert (await api.get(signed)).status_code == 200


@pytest.mark.parametrize("host", ["media.test", "127.0.0.1:8765", "backend", "192.168.1.20"])
@pytest.mark.parametrize("prefix", ["", "/safelight"])
async def test_documents_when_there_is_a_public_url_are_under_it(
    tmp_path: Path, host: str, prefix: str
) -> None:
    """Whatever Host a proxy sends, and whether it removes the path or not."""
    async with (
        opened(tmp_path, public_url=PUBLIC) as server,
        client(server, f"http://{host}", *OWNER_SCOPES) as api,
    ):
        upload = {"file": ("a.png", pictures.picture())}
        kept = (await api.post(f"{prefix}/v1/uploads", files=upload)).json()
        assert kept["url"].startswith(f"{PUBLIC}/files/")
        file = await api.get(prefix + kept["url"].removeprefix(PUBLIC))
        assert (file.status_code, file.headers["content-type"]) == (200, "image/png")
        document = (await api.get(f"{prefix}/openapi.json")).json()
        assert document["servers"] == [{"url": PUBLIC}]
        assert (await api.get(f"{prefix}/v1/jobs/")).status_code == 200
        assert (
            "https://media.test" in (await api.get(f"{prefix}/")).headers["content-security-policy"]
        )


async def test_session_when_the_public_url_has_a_path_has_a_cookie_for_it_alone(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, public_url=PUBLIC) as server:
        account = await server.services.accounts.ensure_first("local")
        for host, path in (("media.test", "/safelight/"), ("127.0.0.1:8765", "/")):
            token = await server.services.access.sessions.login_token(account.id, OWNER_SCOPES)
            async with client(server, f"http://{host}") as browser:
                led = await browser.get(f"/safelight/login?token={token}")
                assert led.headers["location"] == "./"
                cookie = led.headers["set-cookie"]
                assert f"Path={path};" in cookie
                assert ("Secure" in cookie) is (host == "media.test")


# --- the data folder -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["q?x=1", "pct%41x", "sp ace", "ha#sh"])
async def test_data_folder_when_its_name_is_no_url_has_everything_inside(
    tmp_path: Path, name: str
) -> None:
    async with (
        opened(tmp_path / name) as server,
        client(server, "http://127.0.0.1", *OWNER_SCOPES) as api,
    ):
        kept = (await api.post("/v1/uploads", files={"file": ("a.png", pictures.picture())})).json()
        assert (await api.get(kept["url"])).status_code == 200
    found = {path.name for path in tmp_path.iterdir()}  # noqa: ASYNC240  nothing else goes on
    assert found == {name}
    assert (tmp_path / name / "safelight.db").is_file()

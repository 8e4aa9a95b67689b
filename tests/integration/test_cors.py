"""Pages of other sites: those on the list call the API with a key, and nobody's cookie is taken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from safelight.accounts.account import Credential
from safelight.accounts.scopes import OWNER_SCOPES
from safelight.app import open_safelight
from safelight.db.engine import open_database
from safelight.settings import Settings
from safelight.web.auth import COOKIE
from tests import factories

FRIEND = {"Origin": "https://app.example.com"}
EVIL = {"Origin": "https://evil.example"}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


@asynccontextmanager
async def served(folder: Path, origins: str) -> AsyncIterator[tuple[httpx2.AsyncClient, str, str]]:
    """A server, with an API key and a session of an owner."""
    settings = Settings(data_dir=folder, min_free_bytes=0, cors_origins=origins)
    async with open_safelight(settings) as safelight:
        account = (await safelight.services.accounts.ensure_first("tests")).id
        database = open_database(f"sqlite:///{folder / 'safelight.db'}")
        key = await factories.new_key(database, account, OWNER_SCOPES)
        kind = Credential.SESSION
        session = await factories.new_key(database, account, OWNER_SCOPES, kind=kind)
        await database.close()
        transport = httpx2.ASGITransport(safelight.asgi, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client, key, session


async def test_page_when_its_origin_is_listed_calls_the_api_with_a_key(tmp_path: Path) -> None:
    async with served(tmp_path, "https://APP.example.com:443,http://localhost:3000") as (
        client,
        key,
        session,
    ):
        asked = await client.options("/v1/generate", headers=FRIEND | PREFLIGHT)
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == FRIEND["Origin"]
        bearer = {"Authorization": f"Bearer {key}"}
        answer = await client.get("/v1/jobs", headers=FRIEND | bearer)
        assert answer.headers["access-control-allow-origin"] == FRIEND["Origin"]
        assert "Origin" in answer.headers["vary"]
        for each in (asked, answer):
            assert "access-control-allow-credentials" not in each.headers
        cookie = {"Cookie": f"{COOKIE}={session}"}
        for site in (FRIEND, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            body = {"visibility": "private"}
            change = await client.patch("/v1/account", json=body, headers=cookie | site)
            assert change.status_code == 403


async def test_page_when_its_origin_is_not_listed_is_told_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, "https://app.example.com") as (client, key, _):
        asked = await client.options("/v1/generate", headers=EVIL | PREFLIGHT)
        bearer = {"Authorization": f"Bearer {key}"}
        answer = await client.get("/v1/jobs", headers=EVIL | bearer)
        for each in (asked, answer):
            assert "access-control-allow-origin" not in each.headers


async def test_page_when_no_origin_is_listed_is_told_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, "") as (client, key, _):
        asked = await client.options("/v1/generate", headers=FRIEND | PREFLIGHT)
        assert asked.status_code == 405
        bearer = {"Authorization": f"Bearer {key}"}
        answer = await client.get("/v1/jobs", headers=FRIEND | bearer)
        for each in (asked, answer):
            assert "access-control-allow-origin" not in each.headers

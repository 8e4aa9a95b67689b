"""A browser session: its cookie acts for itself, never for the API key beside it."""

from pathlib import Path

import httpx2
import pytest

from safelight.accounts.account import Credential
from safelight.accounts.scopes import OWNER_SCOPES
from safelight.app import open_safelight
from safelight.settings import Settings
from safelight.web.auth import COOKIE
from tests import factories
from tests.household import Household


async def _secret(home: Household, kind: Credential) -> str:
    return await factories.new_key(home.database, home.owner, OWNER_SCOPES, kind=kind)


@pytest.mark.parametrize("cookie", ["", "nonsense", "key", "login link"])
async def test_sign_out_when_the_cookie_is_no_session_is_refused_and_keeps_the_key(
    home: Household, cookie: str
) -> None:
    made = {
        "key": await _secret(home, Credential.KEY),
        "login link": await _secret(home, Credential.LOGIN),
    }
    async with home.client(home.owner, *OWNER_SCOPES) as client:
        headers = {"Cookie": f"{COOKIE}={made.get(cookie, cookie)}"}
        refused = await client.delete("/v1/session", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert (await client.get("/v1/account")).status_code == 200, "the key still works"
        del client.headers["Authorization"]
        assert (await client.get("/v1/account", headers=headers)).status_code == 401


async def test_sign_out_when_a_key_comes_too_ends_the_session_and_keeps_the_key(
    home: Household,
) -> None:
    session = await _secret(home, Credential.SESSION)
    headers = {"Cookie": f"{COOKIE}={session}"}
    async with home.client(home.owner, *OWNER_SCOPES) as client:
        assert (await client.delete("/v1/session", headers=headers)).status_code == 204
        assert (await client.get("/v1/account")).status_code == 200
        del client.headers["Authorization"]
        assert (await client.get("/v1/account", headers=headers)).status_code == 401


async def test_login_link_when_opened_again_signs_nobody_in(home: Household) -> None:
    async with home.client(home.owner, *OWNER_SCOPES) as client:
        made = await client.post("/v1/login-links")
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        path = made.json()["url"].removeprefix("https://safelight.test")
    async with home.client(home.owner) as browser:
        opened = await browser.get(path)
        assert (opened.status_code, opened.headers["location"]) == (303, "./")
        assert (await browser.get("/v1/account")).status_code == 200
    async with home.client(home.owner) as other:
        again = await other.get(path)
        assert again.headers["location"] == "./?login=expired"
        assert "set-cookie" not in again.headers


# --- hosts and origins ----------------------------------------------------------------------------

OWN = {"Origin": "https://safelight.test", "Sec-Fetch-Site": "same-origin"}
CHANGE = {"visibility": "private"}


async def test_cookie_when_a_proxy_sends_another_host_is_taken_from_the_page(
    home: Household,
) -> None:
    headers = OWN | {"Cookie": f"{COOKIE}={await _secret(home, Credential.SESSION)}"}
    async with home.client(home.owner) as browser:
        done = await browser.patch("/v1/account", json=CHANGE, headers=headers)
        assert done.status_code == 200


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_cookie_when_the_host_is_rebound_opens_nothing(home: Household, method: str) -> None:
    evil = {
        "Host": "evil.example",
        "Origin": "http://evil.example",
        "Sec-Fetch-Site": "same-origin",
    }
    headers = evil | {"Cookie": f"{COOKIE}={await _secret(home, Credential.SESSION)}"}
    async with home.client(home.owner) as browser:
        body = CHANGE if method == "PATCH" else None
        refused = await browser.request(method, "/v1/account", json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (421, "misdirected")
        assert "SAFELIGHT_ALLOWED_HOSTS" in refused.json()["detail"]


async def test_session_when_asked_for_by_another_site_or_host_is_not_opened(
    home: Household,
) -> None:
    key = {"key": await _secret(home, Credential.KEY)}
    async with home.client(home.owner) as browser:
        cross = {"Origin": "https://evil.example"}
        assert (await browser.post("/v1/session", json=key, headers=cross)).status_code == 403
        rebound = {"Host": "evil.example"}
        assert (await browser.post("/v1/session", json=key, headers=rebound)).status_code == 421
        assert (await browser.get("/login?token=x", headers=rebound)).status_code == 421


async def test_key_when_the_host_is_unknown_is_taken_of_a_server_with_a_public_url(
    home: Household,
) -> None:
    async with home.client(home.owner, *OWNER_SCOPES) as client:
        found = await client.get("/v1/account", headers={"Host": "backend"})
        assert found.status_code == 200


async def test_server_when_local_refuses_every_request_of_an_unknown_host(tmp_path: Path) -> None:
    async with open_safelight(Settings(data_dir=tmp_path, min_free_bytes=0)) as local:
        transport = httpx2.ASGITransport(local.asgi)
        async with httpx2.AsyncClient(transport=transport, base_url="http://evil.example") as evil:
            for path in ("/", "/v1/models", "/files/images/x.png", "/metrics", "/docs"):
                assert (await evil.get(path)).status_code == 421
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:1") as own:
            assert (await own.get("/")).status_code == 200


async def test_address_when_it_ends_in_a_slash_is_answered_without_a_redirect(
    home: Household,
) -> None:
    async with home.client(home.owner, *OWNER_SCOPES) as client:
        found = await client.get("/v1/jobs/", headers={"Host": "backend"})
        assert (found.status_code, "location" in found.headers) == (200, False)
        lost = await client.get("/nowhere/", headers={"Host": "backend"})
        assert (lost.status_code, "location" in lost.headers) == (404, False)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/jobs/job%00x", 404),
        ("/v1/batches/%00/events", 404),
        ("/files/images/job_%00/a.png", 404),
        ("/static/%00.js", 404),
        ("/callbacks/fake/%00.x", 404),
        ("/v1/jobs?cursor=%00", 422),
        ("/v1/jobs?batch_id=a%00b", 422),
        ("/v1/assets?q=%00", 422),
        ("/login?token=%00", 422),
    ],
)
async def test_address_when_it_contains_nul_names_nothing(
    home: Household, path: str, status: int
) -> None:
    async with home.client(home.owner, *OWNER_SCOPES) as client:
        assert (await client.get(path)).status_code == status

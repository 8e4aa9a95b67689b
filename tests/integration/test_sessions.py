"""A browser session: its cookie acts for itself, never for the API key beside it."""

from collections.abc import AsyncIterator

import pytest

from safelight.accounts.account import OWNER_SCOPES, Credential
from safelight.web.auth import COOKIE
from tests.household import Household, household


@pytest.fixture(scope="module")
async def home(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Household]:
    """One server for the module."""
    del anyio_backend
    async with household(tmp_path_factory.mktemp("home")) as opened:
        yield opened


async def _secret(home: Household, kind: Credential) -> str:
    accounts = home.safelight.services.accounts
    return await accounts.new_key(home.owner, "test", scopes=OWNER_SCOPES, kind=kind)


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

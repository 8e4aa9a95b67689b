"""API keys over HTTP: what they grant, what they refuse, and how often they may ask."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from safelight.accounts.scopes import OWNER_SCOPES, Scope
from safelight.web.auth import COOKIE
from tests.household import Household


@pytest.fixture
async def owner(home: Household) -> AsyncIterator[httpx2.AsyncClient]:
    async with home.client(home.owner, *OWNER_SCOPES) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_key_when_made_does_what_its_scopes_say_and_no_more(
    owner: httpx2.AsyncClient,
) -> None:
    wanted = {"name": "reader", "scopes": ["jobs:*", "assets:read"], "expires_in_s": 3600}
    made = (await owner.post("/v1/keys", json=wanted)).json()
    assert made["scopes"] == ["assets:read", "jobs:read", "jobs:write"]
    assert made["expires_at"]
    key = bearer(made["key"])
    assert (await owner.get("/v1/assets", headers=key)).status_code == 200
    refused = await owner.get("/v1/webhooks", headers=key)
    assert refused.json()["code"] == "forbidden"
    assert "`webhooks:read`" in refused.json()["detail"]
    listed = (await owner.get("/v1/keys")).json()["data"]
    assert made["id"] in [each["id"] for each in listed]
    assert not any("key" in each for each in listed)


async def test_key_when_it_would_grant_more_than_its_maker_has_is_refused(home: Household) -> None:
    async with home.client(home.owner, Scope.ACCOUNT_WRITE, Scope.ACCOUNT_READ) as lesser:
        refused = await lesser.post("/v1/keys", json={"name": "more", "scopes": ["admin:*"]})
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_not_held")
        rotated = await lesser.post(f"/v1/keys/{home.things['API key']}/rotate", json={})
        assert (rotated.status_code, rotated.json()["code"]) == (403, "scope_not_held")


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x", "scopes": ["jobs"]},
        {"name": "x", "scopes": ["*"]},
        {"name": "x", "scopes": []},
        {"name": "x", "rate_per_s": 0},
        {"name": "x", "expires_in_s": -1},
    ],
)
async def test_key_when_its_request_is_wrong_says_where(
    owner: httpx2.AsyncClient, body: dict[str, object]
) -> None:
    refused = await owner.post("/v1/keys", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


async def test_key_when_it_asks_too_often_waits_and_others_do_not(
    owner: httpx2.AsyncClient,
) -> None:
    made = (await owner.post("/v1/keys", json={"name": "slow", "rate_per_s": 1})).json()
    answers = [await owner.get("/v1/jobs", headers=bearer(made["key"])) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "too_many_requests"
    assert answers[2].headers["retry-after"] == "1"
    assert (await owner.get("/v1/jobs")).status_code == 200


async def test_key_when_revoked_is_refused_at_once(owner: httpx2.AsyncClient) -> None:
    made = (await owner.post("/v1/keys", json={"name": "short"})).json()
    assert (await owner.get("/v1/jobs", headers=bearer(made["key"]))).status_code == 200
    assert (await owner.delete(f"/v1/keys/{made['id']}")).status_code == 204
    assert (await owner.get("/v1/jobs", headers=bearer(made["key"]))).status_code == 401
    rotated = await owner.post(f"/v1/keys/{made['id']}/rotate", json={})
    assert (rotated.status_code, rotated.json()["code"]) == (409, "key_ended")
    lines = (await owner.get("/v1/audit", params={"subject": made["id"]})).json()["data"]
    assert [line["action"] for line in lines] == ["key.revoked", "key.created"]
    assert made["key"] not in str(lines)


# --- keys that come in the wrong way -------------------------------------------------------------


@pytest.mark.parametrize("query", ["key={}", "api_key={}", "q=x&access_token={}", "q=Bearer%20{}"])
@pytest.mark.parametrize("path", ["/v1/jobs", "/health/live", "/files/images/job_1/a.png", "/"])
async def test_key_when_in_the_url_is_refused_with_the_remedy_and_shown_nowhere(
    home: Household, path: str, query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await home.safelight.services.access.keys.create(home.owner, "key")
    spellings = (made.secret, made.secret.replace("sk_", "%73k%5F"), f"ses_{made.secret[3:]}")
    async with home.client(home.owner) as client:
        for spelled in spellings:
            refused = await client.get(f"{path}?{query.format(spelled)}")
            assert (refused.status_code, refused.json()["code"]) == (400, "key_in_url")
            assert "Authorization: Bearer" in refused.json()["detail"]
            assert made.secret[3:] not in refused.text + "".join(capsys.readouterr())


@pytest.mark.parametrize("text", ["sk_", "sk_short", "task_" + "a" * 32, "ses_" + "a" * 40])
async def test_url_when_it_only_resembles_a_key_is_answered(
    owner: httpx2.AsyncClient, text: str
) -> None:
    assert (await owner.get("/v1/assets", params={"q": text})).status_code == 200


async def test_key_when_ten_kilobytes_long_is_refused_everywhere(home: Household) -> None:
    long = f"sk_{'0' * 10_240}"
    async with home.client(home.owner) as client:
        for headers in (
            bearer(long),
            {"Cookie": f"{COOKIE}={long.replace('sk_', 'ses_')}"},
        ):
            refused = await client.get("/v1/jobs", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        refused = await client.post("/v1/session", json={"key": long})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
        assert long not in refused.text
        led = await client.get(f"/login?token=lnk_{'0' * 10_240}")
        assert led.headers["location"] == "./?login=expired"

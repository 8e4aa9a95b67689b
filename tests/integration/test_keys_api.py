"""API keys over HTTP: what they grant, what they refuse, and how often they may ask."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from safelight.accounts.scopes import OWNER_SCOPES, Scope
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

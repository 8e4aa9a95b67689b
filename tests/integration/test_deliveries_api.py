"""Webhook routes: a secret is shown once, an address is checked, a stranger sees nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from safelight.accounts.account import Scope
from safelight.app import Safelight, open_safelight
from safelight.db.engine import open_database
from safelight.delivery import store
from safelight.settings import Settings
from tests import factories
from tests.factories import claim_of

HOOK = "https://hooks.example/safelight"


@dataclass
class Site:
    """A Safelight that nobody runs jobs on, its database, and two accounts."""

    safelight: Safelight
    url: str
    mine: str
    other: str

    @asynccontextmanager
    async def client(self, account_id: str, *scopes: Scope) -> AsyncIterator[httpx2.AsyncClient]:
        """A client with a key of an account."""
        wanted = scopes or (Scope.READ, Scope.WRITE)
        key = await self.safelight.services.accounts.new_key(account_id, "test", scopes=wanted)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.safelight.asgi),
            base_url="http://127.0.0.1",
            headers={"Authorization": f"Bearer {key}"},
        ) as client:
            yield client

    async def deliver(self, jobs: int) -> None:
        """Finish jobs of mine and make their deliveries, without sending any."""
        database = open_database(self.url)
        for _ in range(jobs):
            job = await factories.run_one(database, self.mine)
            await database.write(
                lambda tx, job=job: factories.succeed(tx, claim_of(job), cost_micros=0)
            )
        await database.write(lambda tx: store.fan_out(tx, limit=100))
        await database.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A whole server in this process, without a socket."""
    settings = Settings(data_dir=tmp_path, host="127.0.0.1")
    url = f"sqlite:///{tmp_path / 'safelight.db'}"
    async with open_safelight(settings) as safelight:
        database = open_database(url)
        mine, other = [await factories.new_account(database) for _ in range(2)]
        await database.close()
        yield Site(safelight, url, mine, other)


async def test_create_when_asked_shows_the_secret_only_then(site: Site) -> None:
    async with site.client(site.mine) as client:
        answer = await client.post("/v1/webhooks", json={"url": HOOK})
        assert answer.status_code == 201
        made = answer.json()
        assert made["secret"].startswith("whsec_")
        assert made["events"] == ["job.succeeded", "job.failed", "job.canceled", "batch.finished"]
        shown = (await client.get(f"/v1/webhooks/{made['id']}")).json()
        assert shown == {name: made[name] for name in made if name != "secret"}
        assert (await client.get("/v1/webhooks")).json()["data"] == [shown]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://127.0.0.1/hook"}, "url_not_allowed"),
        ({"url": "http://[::ffff:10.0.0.1]/hook"}, "url_not_allowed"),
        ({"url": "file:///etc/passwd"}, "url_not_allowed"),
        ({"url": HOOK, "events": ["job.won"]}, "invalid_request"),
        ({"url": HOOK, "events": []}, "invalid_request"),
        ({"url": HOOK, "secret": "mine"}, "invalid_request"),
    ],
)
async def test_create_when_the_body_is_wrong_is_refused(
    site: Site, body: dict[str, object], code: str
) -> None:
    async with site.client(site.mine) as client:
        answer = await client.post("/v1/webhooks", json=body)
        assert (answer.status_code // 100, answer.json()["code"]) == (4, code)
        assert (await client.get("/v1/webhooks")).json()["data"] == []


async def test_deliveries_when_there_are_many_come_newest_first_by_pages(site: Site) -> None:
    async with site.client(site.mine) as client:
        made = (await client.post("/v1/webhooks", json={"url": HOOK})).json()
        await site.deliver(3)
        route = f"/v1/webhooks/{made['id']}/deliveries"
        first = (await client.get(route, params={"limit": 2})).json()
        second = (
            await client.get(route, params={"limit": 2, "cursor": first["next_cursor"]})
        ).json()
        ids = [each["id"] for each in first["data"] + second["data"]]
        assert ids == sorted(ids, reverse=True)
        assert (len(set(ids)), second["next_cursor"]) == (3, None)
        shown = first["data"][0]
        assert (shown["state"], shown["tries"], shown["type"]) == ("pending", 0, "job.succeeded")
        again = await client.post(f"{route}/{ids[0]}/redeliver")
        assert (again.status_code, again.json()["id"]) == (202, ids[0])
        assert (await client.delete(f"/v1/webhooks/{made['id']}")).status_code == 204
        assert (await client.get(route)).status_code == 404


async def test_routes_when_a_stranger_asks_answer_as_if_there_were_none(site: Site) -> None:
    async with site.client(site.mine) as client:
        made = (await client.post("/v1/webhooks", json={"url": HOOK})).json()
        await site.deliver(1)
        route = f"/v1/webhooks/{made['id']}"
        (delivery,) = (await client.get(f"{route}/deliveries")).json()["data"]
        async with site.client(site.other) as stranger:
            answers = [
                await stranger.get(route),
                await stranger.delete(route),
                await stranger.get(f"{route}/deliveries"),
                await stranger.post(f"{route}/deliveries/{delivery['id']}/redeliver"),
            ]
            assert [answer.status_code for answer in answers] == [404] * 4
            assert (await stranger.get("/v1/webhooks")).json()["data"] == []
        assert (await client.get(route)).status_code == 200


async def test_routes_when_a_key_may_only_read_change_nothing(site: Site) -> None:
    async with site.client(site.mine) as client:
        made = (await client.post("/v1/webhooks", json={"url": HOOK})).json()
    route = f"/v1/webhooks/{made['id']}"
    async with site.client(site.mine, Scope.READ) as reader:
        refused = [
            await reader.post("/v1/webhooks", json={"url": HOOK}),
            await reader.delete(route),
            await reader.post(f"{route}/deliveries/dlv_1/redeliver"),
        ]
        assert [answer.status_code for answer in refused] == [403] * 3
        assert (await reader.get(route)).status_code == 200

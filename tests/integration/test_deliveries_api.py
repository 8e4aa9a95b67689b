"""Webhook routes: a secret is shown once, an address is checked, a stranger sees nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.accounts.scopes import MEMBER_SCOPES, Scope
from safelight.app import Safelight, open_safelight
from safelight.db import tables
from safelight.db.engine import open_database
from safelight.settings import Settings
from safelight.worker.senders.webhooks import fan_out
from tests import factories, pictures
from tests.factories import claim_of

HOOK = "https://hooks.example/safelight"
NEW_YEAR = "2026-01-01T00:00:00Z"
PICTURE = "https://pictures.example/cat.png"


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
        keys = self.safelight.services.access.keys
        wanted = frozenset(scopes) or MEMBER_SCOPES
        key = (await keys.create(account_id, "test", scopes=wanted)).secret
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
        await database.write(fan_out)
        await database.close()

    async def named(self) -> dict[str, str]:
        """Return the jobs and batches that named an address."""
        database = open_database(self.url)
        tables_with_urls = (tables.jobs, tables.batches)

        def read(tx: Connection) -> dict[str, str]:
            return {
                row.id: row.webhook_url
                for table in tables_with_urls
                for row in tx.execute(sa.select(table).where(table.c.webhook_url != ""))
            }

        found = await database.read(read)
        await database.close()
        return found


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
                await stranger.get(f"{route}/deliveries/{delivery['id']}"),
                await stranger.patch(route, json={"thin": True}),
                await stranger.post(f"{route}/rotate"),
                await stranger.post(f"{route}/test"),
                await stranger.post(f"{route}/redeliver", json={"since": NEW_YEAR}),
            ]
            assert [answer.status_code for answer in answers] == [404] * 9
            assert (await stranger.get("/v1/webhooks")).json()["data"] == []
        assert (await client.get(route)).status_code == 200


async def test_routes_when_a_key_may_only_read_change_nothing(site: Site) -> None:
    async with site.client(site.mine) as client:
        made = (await client.post("/v1/webhooks", json={"url": HOOK})).json()
    route = f"/v1/webhooks/{made['id']}"
    async with site.client(site.mine, Scope.WEBHOOKS_READ) as reader:
        refused = [
            await reader.post("/v1/webhooks", json={"url": HOOK}),
            await reader.delete(route),
            await reader.post(f"{route}/deliveries/dlv_1/redeliver"),
            await reader.patch(route, json={"thin": True}),
            await reader.post(f"{route}/rotate"),
            await reader.post(f"{route}/test"),
            await reader.post(f"{route}/redeliver", json={"since": NEW_YEAR}),
            await reader.get("/v1/webhooks/default/secret"),
        ]
        assert [answer.status_code for answer in refused] == [403] * 8
        assert (await reader.get(route)).status_code == 200


async def test_change_when_asked_disables_and_enables_again(site: Site) -> None:
    async with site.client(site.mine) as client:
        made = (await client.post("/v1/webhooks", json={"url": HOOK})).json()
        route = f"/v1/webhooks/{made['id']}"
        await site.deliver(2)
        off = (await client.patch(route, json={"disabled": True, "events": ["*"]})).json()
        assert (off["disabled_reason"], off["events"], off["url"]) == ("asked", ["*"], HOOK)
        failed = await client.get(f"{route}/deliveries", params={"state": "failed"})
        assert len(failed.json()["data"]) == 2
        body = {"since": NEW_YEAR}
        refused = [
            await client.post(f"{route}/test"),
            await client.post(f"{route}/redeliver", json=body),
        ]
        assert [answer.json()["code"] for answer in refused] == ["endpoint_disabled"] * 2
        on = (await client.patch(route, json={"disabled": False})).json()
        assert (on["disabled_at"], on["disabled_reason"], on["events"]) == (None, None, ["*"])
        again = await client.post(f"{route}/redeliver", json=body)
        assert (again.status_code, again.json()) == (202, {"redelivered": 2, "next_since": None})


@pytest.mark.parametrize(
    "body",
    [{"url": "http://127.0.0.1/"}, {"events": ["joy.*"]}, {"secret": "mine"}, {"url": ""}],
)
async def test_change_when_the_body_is_wrong_changes_nothing(
    site: Site, body: dict[str, object]
) -> None:
    async with site.client(site.mine) as client:
        made = (await client.post("/v1/webhooks", json={"url": HOOK})).json()
        route = f"/v1/webhooks/{made['id']}"
        assert (await client.patch(route, json=body)).status_code == 422
        shown = (await client.get(route)).json()
        assert shown == {name: made[name] for name in made if name != "secret"}


async def test_rotate_when_asked_shows_the_new_secret_once(site: Site) -> None:
    async with site.client(site.mine) as client:
        made = (await client.post("/v1/webhooks", json={"url": HOOK})).json()
        route = f"/v1/webhooks/{made['id']}"
        rotated = (await client.post(f"{route}/rotate")).json()
        assert rotated["secret"].startswith("whsec_")
        assert rotated["secret"] != made["secret"]
        shown = await client.get(route)
        assert shown.json()["old_secret_until"] is not None
        assert made["secret"] not in shown.text
        assert rotated["secret"] not in shown.text


async def test_delivery_when_looked_at_has_its_log(site: Site) -> None:
    async with site.client(site.mine) as client:
        made = (await client.post("/v1/webhooks", json={"url": HOOK})).json()
        route = f"/v1/webhooks/{made['id']}"
        sent = await client.post(f"{route}/test")
        assert (sent.status_code, sent.json()["type"]) == (202, "webhook.test")
        one = (await client.get(f"{route}/deliveries/{sent.json()['id']}")).json()
        assert one == sent.json() | {"log": []}
        assert (await client.get(f"{route}/deliveries/dlv_1")).status_code == 404


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/generate", {"prompt": "a cat"}),
        ("/v1/images", {"url": PICTURE}),
        ("/v1/images", {"urls": [PICTURE]}),
        ("/v1/batches", {"items": [PICTURE]}),
    ],
)
async def test_submit_when_it_names_an_address_keeps_it_where_it_is_allowed(
    site: Site, route: str, body: dict[str, object]
) -> None:
    async with site.client(site.mine) as client:
        refused = await client.post(route, json=body | {"webhook_url": "http://10.0.0.1/hook"})
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["field"]) == (422, "webhook_url")
        assert (await client.get("/v1/webhooks")).json()["data"] == []
        taken = await client.post(route, json=body | {"webhook_url": HOOK})
        assert taken.status_code == 202
        assert await site.named() == {taken.json()["id"]: HOOK}
        (default,) = (await client.get("/v1/webhooks")).json()["data"]
        assert (default["is_default"], default["url"]) == (True, None)
        secret = (await client.get("/v1/webhooks/default/secret")).json()
        assert secret["id"] == default["id"]
        assert secret["secret"].startswith("whsec_")
        assert (await client.delete(f"/v1/webhooks/{default['id']}")).status_code == 422


async def test_upload_when_it_names_an_address_keeps_it_where_it_is_allowed(site: Site) -> None:
    files = {"files": ("cat.png", pictures.picture(), "image/png")}
    async with site.client(site.mine) as client:
        for address, status in (("http://10.0.0.1/hook", 422), (HOOK, 202)):
            answer = await client.post(
                "/v1/upload/batch", data={"webhook_url": address}, files=files
            )
            assert answer.status_code == status
        assert await site.named() == {answer.json()["id"]: HOOK}

"""A server that tells people by mail: they are asked, say yes by a link, are told, and stop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests import pictures
from tests.acceptance.conftest import RunningServer
from tests.mailbox import Mailbox, body_of, link_in, mailbox

pytestmark = pytest.mark.slow

WAIT = {"Prefer": "wait=30"}


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as opened:
        yield opened


@pytest.fixture
async def server(box: Mailbox, tmp_path: Path) -> AsyncIterator[RunningServer]:
    running = RunningServer(
        tmp_path / "data",
        {
            "SAFELIGHT_MAIL_URL": f"smtp://127.0.0.1:{box.port}",
            "SAFELIGHT_MAIL_FROM": "Safelight <news@safelight.test>",
        },
        is_public=True,
    )
    await asyncio.to_thread(running.start)
    yield running
    await asyncio.to_thread(running.close)


async def add(api: httpx2.AsyncClient, box: Mailbox, address: str) -> str:
    """Add a contact, and say yes as its owner would: by the link, and then the button."""
    made = await api.post("/v1/contacts", json={"channel": "email", "address": address})
    assert made.status_code == 201, made.text
    count = len(box.got)
    question = (await box.arrivals(count + 1))[-1]
    async with httpx2.AsyncClient(trust_env=False) as browser:
        page = await browser.get(link_in(question, "confirm"))
        assert page.status_code == 200
        assert "<button" in page.text
        assert (await api.get(f"/v1/contacts/{made.json()['id']}")).json()["confirmed_at"] is None
        assert (await browser.post(link_in(question, "confirm"))).status_code == 200
        assert (await browser.post(link_in(question, "confirm"))).status_code == 404
    found = await api.get(f"/v1/contacts/{made.json()['id']}")
    assert found.json()["confirmed_at"] is not None
    return made.json()["id"]


async def test_contact_when_it_says_yes_is_told_and_when_it_stops_is_not(
    server: RunningServer, box: Mailbox
) -> None:
    async with server.client() as api:
        contact = await add(api, box, "ann@example.com")
        body = {"prompt": "a red boat", "size": "256x256"}
        job = (await api.post("/v1/generate", json=body, headers=WAIT)).json()
        told = (await box.arrivals(2))[-1]
        assert told["Subject"] == "Done: a red boat"
        assert job["outputs"][0]["url"] in body_of(told)
        assert job["outputs"][0]["renditions"]["thumb"]["url"] in body_of(told, "html")
        assert (await api.post(f"/v1/contacts/{contact}/test")).status_code == 202
        assert (await box.arrivals(3))[-1]["Subject"] == "A test from Safelight"
        async with httpx2.AsyncClient(trust_env=False) as browser:
            link = link_in(told, "stop")
            assert "ann@example.com" in (await browser.get(link)).text
            # As mail programs do by themselves.
            stopped = await browser.post(link, data={"List-Unsubscribe": "One-Click"})
            assert stopped.status_code == 200
            assert (await browser.get(link.replace("token=", "token=x"))).status_code == 404
        assert (await api.post(f"/v1/contacts/{contact}/test")).status_code == 409
        found = (await api.get(f"/v1/contacts/{contact}")).json()
        assert found["stopped_reason"] == "unsubscribed"
        log = (await api.get(f"/v1/contacts/{contact}/notices")).json()["data"]
        assert [(each["type"], each["state"]) for each in log] == [
            ("contact.test", "delivered"),
            ("job.succeeded", "delivered"),
            ("contact.confirm", "delivered"),
        ]


async def test_batch_when_25_pictures_are_made_sends_one_mail(
    server: RunningServer, box: Mailbox
) -> None:
    async with server.client() as api:
        contact = await add(api, box, "ann@example.com")
        files = [("files", (f"{n}.png", pictures.picture(), "image/png")) for n in range(25)]
        fields = {"model": "fake", "notify": f'["{contact}"]', "name": "Chairs"}
        answer = await api.post("/v1/upload/batch", files=files, data=fields)
        assert answer.status_code == 202, answer.text
        told = (await box.arrivals(2, within_s=60))[-1]
        assert told["Subject"].endswith(": Chairs")
        assert (await api.post(f"/v1/contacts/{contact}/test")).status_code == 202
        assert len(await box.arrivals(3)) == 3


async def test_server_when_killed_before_the_mail_server_is_back_sends_it_then(
    server: RunningServer, box: Mailbox
) -> None:
    async with server.client() as api:
        await add(api, box, "ann@example.com")
        box.ends.append("451 later")
        body = {"prompt": "a red boat", "size": "256x256"}
        await api.post("/v1/generate", json=body, headers=WAIT)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    assert (await box.arrivals(2, within_s=60))[-1]["Subject"] == "Done: a red boat"


async def test_notify_when_it_names_nobody_of_the_account_is_refused(
    server: RunningServer,
) -> None:
    async with server.client() as api:
        body = {"prompt": "a red boat", "notify": ["con_1"]}
        answer = await api.post("/v1/generate", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "notify"
        answer = await api.post("/v1/contacts", json={"channel": "sms", "address": "+4912345678"})
        assert answer.status_code == 422
        assert "sends nothing by sms" in answer.json()["detail"]

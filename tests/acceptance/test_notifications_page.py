"""The page of notifications in a real browser: webhooks and contacts, and what was sent to them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.acceptance.conftest import RunningServer
from tests.mailbox import Mailbox, link_in, mailbox
from tests.receivers import Receiver, receiving
from tests.servers import wait_until_async

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

ANN = "ann@example.com"
REFUSED = "the server responded with a status of 422"  # said of each refusal that a test asks for


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as running:
        yield running


@pytest.fixture
async def notifications(
    page: Page, complaints: list[str], receiver: Receiver, box: Mailbox, tmp_path: Path
) -> AsyncIterator[Page]:
    """The page of a server that may tell the receiver and the box; the browser may not complain."""
    server = RunningServer(
        tmp_path / "data",
        {
            "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
            "SAFELIGHT_FETCH_PORTS": str(receiver.port),
            "SAFELIGHT_MAIL_URL": f"smtp://127.0.0.1:{box.port}",
            "SAFELIGHT_MAIL_FROM": "Safelight <news@safelight.test>",
        },
    )
    await asyncio.to_thread(server.start)
    try:
        await page.goto(server.login_url)
        await page.get_by_role("link", name="Notifications").click()
        yield page
    finally:
        await asyncio.to_thread(server.close)
    assert [each for each in complaints if REFUSED not in each] == []


async def add_webhook(page: Page, receiver: Receiver) -> None:
    form = page.locator("#webhook-form")
    await form.get_by_label("Address").fill(receiver.url)
    await form.get_by_role("button", name="Add webhook").click()
    await expect(page.locator(".secret code")).to_contain_text("whsec_")


async def test_page_when_a_test_is_sent_then_says_how_that_went_and_shows_it(
    notifications: Page, receiver: Receiver
) -> None:
    await add_webhook(notifications, receiver)
    await notifications.get_by_role("button", name="Send test").click()
    await expect(notifications.get_by_role("status").last).to_contain_text("It arrived: 200 in")
    assert [message.event["type"] for message in receiver.got] == ["webhook.test"]
    await notifications.get_by_text("Request and answer").click()
    await expect(notifications.locator(".try pre").first).to_contain_text("webhook-signature: v1,")


async def test_page_when_a_webhook_fails_then_says_why_and_sends_it_again(
    notifications: Page, receiver: Receiver
) -> None:
    receiver.answers = ["500 Oops"]
    await add_webhook(notifications, receiver)
    await notifications.get_by_role("button", name="Send test").click()
    await expect(notifications.get_by_role("alert").last).to_contain_text("It did not arrive")
    await notifications.get_by_role("button", name="Send again").click()
    await wait_until_async(lambda: asyncio.sleep(0, len(receiver.got) == 2), 20)
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_page_when_a_webhook_is_deleted_then_nothing_is_left(
    notifications: Page, receiver: Receiver
) -> None:
    await add_webhook(notifications, receiver)
    await notifications.locator("#webhooks").get_by_role("button", name="Delete").click()
    await notifications.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(notifications.locator("#webhooks > li")).to_have_count(0)
    await notifications.reload()
    await expect(notifications.get_by_text("No webhooks yet")).to_be_visible()


async def test_page_when_a_contact_says_yes_then_it_can_be_told(
    notifications: Page, box: Mailbox
) -> None:
    form = notifications.locator("#contact-form")
    await form.get_by_label("Address").fill(ANN)
    await form.get_by_role("button", name="Add contact").click()
    card = notifications.locator("#contacts > li")
    await expect(card).to_contain_text("was asked")
    await wait_until_async(lambda: asyncio.sleep(0, bool(box.got)), 20)
    other = await notifications.context.new_page()
    await other.goto(link_in(box.got[0], "confirm"))
    await other.get_by_role("button").click()
    await expect(other.get_by_text("Thank you")).to_be_visible()
    await notifications.reload()
    await expect(card).to_contain_text("said yes")
    await card.get_by_role("button", name="Send test").click()
    await wait_until_async(lambda: asyncio.sleep(0, len(box.got) == 2), 20)
    await expect(card.locator(".log li").first).to_contain_text("contact.test")


async def test_page_when_a_channel_is_not_configured_then_says_so(notifications: Page) -> None:
    form = notifications.locator("#contact-form")
    await form.get_by_label("By").select_option("sms")
    await form.get_by_label("Address").fill("+49 151 23456789")
    await form.get_by_role("button", name="Add contact").click()
    await expect(form.get_by_role("alert")).to_contain_text("sends nothing by sms")

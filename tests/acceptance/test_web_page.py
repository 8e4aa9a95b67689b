"""The web page in a real browser against a real server: what a newcomer sees and does first."""

import base64
import re
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import resvg_py
from playwright.async_api import Page, expect

from tests.servers import wait_until_async

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

PROMPT = "A red cat playing guitar"
PATIENCE_MS = 60_000
# A plain shape on nothing, which is the easiest thing to make a model of.
SHAPE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256">
  <circle cx="128" cy="110" r="80" fill="#d8452e"/><rect x="88" y="150" width="80" height="80"
  rx="20" fill="#7b4ad8"/></svg>"""


class Server(Protocol):
    """A running Safelight, as the `server` fixture gives it."""

    @property
    def url(self) -> str: ...
    @property
    def login_url(self) -> str: ...
    @property
    def key(self) -> str: ...


@pytest.fixture
async def home(page: Page, server: Server, complaints: list[str]) -> AsyncIterator[Page]:
    """The page of somebody who came by the login link; nothing may complain until the end."""
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(server.login_url)
    await expect(page.get_by_label("Describe the picture")).to_be_visible()
    yield page
    assert complaints == []


async def generate(page: Page, prompt: str) -> None:
    box = page.get_by_label("Describe the picture")
    await box.fill(prompt)
    await box.press("Control+Enter")


async def shown_width(page: Page, title: str) -> int:
    """Wait for the picture of that title, and return how many pixels wide it really is."""
    picture = page.get_by_role("button", name=f"Open picture: {title}").first.locator("img")
    await picture.wait_for(timeout=PATIENCE_MS)
    await picture.scroll_into_view_if_needed()
    return await picture.evaluate("image => image.decode().then(() => image.naturalWidth)")


async def drop_picture(page: Page, name: str) -> None:
    """Let go of a picture over the drop zone, as a person with a mouse would."""
    await page.get_by_role("tab", name="Pictures to 3D").click()
    drawn = bytes(resvg_py.svg_to_bytes(svg_string=SHAPE, width=512))
    carried = await page.evaluate_handle(
        """([bytes, name]) => {
            const data = Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([data], name, { type: "image/png" }));
            return carried;
        }""",
        [base64.b64encode(drawn).decode(), name],
    )
    await page.locator("[data-drop]").dispatch_event("drop", {"dataTransfer": carried})


async def test_page_when_a_prompt_is_sent_then_the_card_shows_a_real_picture(home: Page) -> None:
    await generate(home, PROMPT)

    assert await shown_width(home, PROMPT) > 0
    card = home.locator(".card", has_text=PROMPT).first
    await expect(card).to_contain_text("no AI model")
    await expect(card.get_by_role("link", name="Download")).to_have_attribute(
        "href", re.compile(r"\?download=1$")
    )


async def test_page_when_words_were_not_understood_then_card_and_viewer_say_which(
    home: Page,
) -> None:
    title = "A cat in the style of van gogh"
    await generate(home, title)
    await shown_width(home, title)
    await expect(home.locator(".card", has_text=title)).to_contain_text("Not understood: van gogh")
    await home.get_by_role("button", name=f"Open picture: {title}").click()
    await expect(home.get_by_role("dialog")).to_contain_text("Not understoodvan gogh")
    await home.keyboard.press("Escape")


async def test_page_when_a_picture_is_opened_then_facts_and_permanent_link_show(home: Page) -> None:
    await generate(home, PROMPT)
    await shown_width(home, PROMPT)

    await home.get_by_role("button", name=f"Open picture: {PROMPT}").first.click()

    dialog = home.get_by_role("dialog")
    await expect(dialog).to_contain_text("Seed")
    link = await dialog.get_by_label("Permanent link", exact=True).input_value()
    answer = await home.request.get(link)
    assert answer.headers["content-type"].startswith("image/")
    await home.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()


async def test_page_when_a_picture_is_dropped_then_its_model_can_be_turned(home: Page) -> None:
    await drop_picture(home, "shape.png")
    await home.get_by_role("button", name="Make 3D models").click()

    await home.get_by_role("button", name="Open 3D model: shape.png").first.click()

    viewer = home.locator("model-viewer")
    await expect(viewer).to_have_js_property("loaded", value=True, timeout=PATIENCE_MS)
    await expect(home.get_by_role("dialog")).to_contain_text("Triangles")


async def test_page_when_reloaded_then_history_is_there(home: Page) -> None:
    await generate(home, PROMPT)
    await shown_width(home, PROMPT)

    await home.reload()

    assert await shown_width(home, PROMPT) > 0


async def test_page_when_a_link_names_a_job_then_it_is_in_sight_after_the_sign_in(
    page: Page, server: Server
) -> None:
    made = await page.request.post(
        f"{server.url}/v1/generate",
        data={"prompt": "A yellow duck", "size": "256x256"},
        headers={"Authorization": f"Bearer {server.key}", "Prefer": "wait=30"},
    )
    await page.goto(f"{server.url}/#{(await made.json())['id']}")
    await page.get_by_label("API key").fill(server.key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator(".card.new", has_text="A yellow duck")).to_be_in_viewport()


async def test_page_when_a_result_is_deleted_then_undo_brings_it_back(
    home: Page, server: Server
) -> None:
    title = "A green turtle"
    await generate(home, title)
    await shown_width(home, title)
    card = home.locator(".card", has_text=title)

    await card.get_by_role("button", name="Delete").click()
    await expect(card).to_be_hidden()
    await home.get_by_role("button", name="Undo").click()
    await expect(card).to_be_visible()
    await home.reload()
    assert await shown_width(home, title) > 0

    for leave in (home.get_by_role("button", name="Dismiss").click, home.reload):
        await generate(home, f"{title} again")
        await shown_width(home, f"{title} again")
        again = home.locator(".card", has_text=f"{title} again")
        await again.get_by_role("button", name="Delete").click()
        await leave()

        async def is_gone() -> bool:
            jobs = await home.request.get(f"{server.url}/v1/jobs")
            return f"{title} again" not in await jobs.text()

        await wait_until_async(is_gone, PATIENCE_MS / 1000)
        await home.reload()
        assert await shown_width(home, title) > 0
        await expect(again).to_have_count(0)


async def test_page_when_a_prompt_is_markup_then_it_is_shown_as_text(home: Page) -> None:
    markup = "<img src=x onerror=\"document.title='broken in'\"> a cat"

    await generate(home, markup)

    await expect(home.locator(".card h3", has_text="<img src=x").first).to_be_visible()
    assert await shown_width(home, markup) > 0
    assert await home.title() == "Safelight"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://ann:secret@media.test/a.png", "user name or password is not allowed."),
        ("http://media.test:22/a.png", "Port 22 is not allowed. An operator can allow it: add 22"),
        (
            "http://10.1.2.3/a.png",
            "a private network. An operator can allow it: add 10.1.2.3/32 to",
        ),
        ("http://localhost/a.png", "add 127.0.0.0/8,::1/128 to SAFELIGHT_FETCH_ALLOW_NETWORKS"),
        ("http://169.254.169.254/a.png", "a reserved network, which no setting allows."),
    ],
)
async def test_page_when_an_import_is_refused_then_says_which_rule_and_which_setting(
    home: Page, complaints: list[str], address: str, reason: str
) -> None:
    await home.get_by_role("tab", name="Import").click()
    box = home.get_by_label("Picture addresses, one a line")
    await box.fill(address)
    await box.press("Control+Enter")
    await expect(home.locator("#import-form .form-error")).to_contain_text(reason)
    assert "status of 422" in complaints.pop()


async def test_page_when_a_name_does_not_resolve_then_its_card_says_so(home: Page) -> None:
    await home.get_by_role("tab", name="Import").click()
    box = home.get_by_label("Picture addresses, one a line")
    await box.fill("http://nobody.invalid/a.png")
    await box.press("Control+Enter")
    card = home.locator(".card", has_text="nobody.invalid")
    await expect(card).to_contain_text("The host name does not resolve.", timeout=PATIENCE_MS)


async def test_page_when_addresses_of_a_list_are_refused_then_each_says_why(home: Page) -> None:
    await home.get_by_role("tab", name="Import").click()
    box = home.get_by_label("Picture addresses, one a line")
    await box.fill("http://127.0.0.1:9/a.png\nhttp://ann:secret@media.test/b.png")
    await box.press("Control+Enter")
    refused = home.locator(".card.batch", has_text="2 failed").first
    await expect(refused.locator(".tile")).to_have_count(2)
    first, second = await refused.locator(".tile").all()
    await expect(first).to_contain_text("Port 9 is not allowed. The address leads to a private")
    await expect(second).to_contain_text("An address with a user name or password is not allowed.")
    await second.get_by_role("button").click()
    await expect(home.get_by_role("dialog")).to_contain_text("user name or password is not allowed")
    await home.keyboard.press("Escape")


async def test_page_when_a_line_is_no_web_address_then_the_form_says_which(home: Page) -> None:
    await home.get_by_role("tab", name="Import").click()
    box = home.get_by_label("Picture addresses, one a line")
    await box.fill("https://media.test/a.png\nftp://media.test/b.png")
    said = await box.evaluate("field => field.validationMessage")
    assert said == "Not an http:// or https:// address: ftp://media.test/b.png"


async def test_page_when_nobody_is_signed_in_then_a_key_opens_it(
    page: Page, server: Server
) -> None:
    await page.goto(server.url)
    await page.get_by_label("API key").fill(server.key)

    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_label("Describe the picture")).to_be_visible()


async def test_page_when_narrow_then_nothing_sticks_out(home: Page) -> None:
    await home.set_viewport_size({"width": 360, "height": 740})

    assert await home.evaluate("() => document.documentElement.scrollWidth") == 360

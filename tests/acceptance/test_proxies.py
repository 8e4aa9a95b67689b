"""The web page in a real browser, at every address that the server is reached by."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page, expect

from tests.acceptance.conftest import RunningServer, environment
from tests.servers import free_port, tethered, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

PROMPT = "A red cat playing guitar"
PATIENCE_MS = 60_000
CADDY = Path(sys.executable).with_name("caddy")


@contextmanager
def proxy(folder: Path, port: int, rules: str) -> Iterator[None]:
    """A Caddy on a loopback port that does what `rules` say, and refuses all else."""
    config = folder / "Caddyfile"
    config.write_text(
        "{\n admin off\n auto_https off\n persist_config off\n}\n"
        f":{port} {{\n bind 127.0.0.1\n {rules}\n respond 418\n}}\n"
    )
    command = tethered(CADDY, "run", "--config", config, "--adapter", "caddyfile")
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment(folder, {"HOME": str(folder)})
        )
    try:
        wait_until(lambda: _answers(port), 30)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return bool(httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code)
    except httpx2.TransportError:
        return False


async def use(page: Page, link: str, base: str) -> None:
    """Log in, generate a picture, look at it, and read the API's page."""
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(link)
    assert page.url == f"{base}/"
    box = page.get_by_label("Describe the picture")
    await box.fill(PROMPT)
    await box.press("Control+Enter")
    picture = page.get_by_role("button", name=f"Open picture: {PROMPT}").first.locator("img")
    await picture.wait_for()
    await picture.scroll_into_view_if_needed()
    width = await picture.evaluate("image => image.decode().then(() => image.naturalWidth)")
    assert width > 0
    assert (await picture.get_attribute("src") or "").startswith(f"{base}/files/")
    await page.get_by_role("link", name="API").click()
    await expect(page.get_by_text("/v1/generate").first).to_be_visible(timeout=PATIENCE_MS)
    await page.goto(f"{base}/")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_text("The darkroom is locked")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.parametrize("handle", ["handle_path", "handle"], ids=["path removed", "path kept"])
async def test_page_when_a_proxy_has_it_under_a_path_works_there(
    page: Page, complaints: list[str], tmp_path: Path, handle: str
) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}/media/safelight"
    server = RunningServer(tmp_path / "data", {"SAFELIGHT_PUBLIC_URL": f"{base}/"})
    server.start()
    rules = (
        f"{handle} /media/safelight/* {{\n reverse_proxy 127.0.0.1:{server.port} {{\n"
        f" header_up Host 127.0.0.1:{server.port}\n }}\n }}"
    )
    try:
        with proxy(tmp_path, port, rules):
            await use(page, server.login_url, base)
    finally:
        server.close()
    assert complaints == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "studio.localhost"])
async def test_page_when_there_is_no_public_url_works_at_the_address_that_is_used(
    page: Page, complaints: list[str], tmp_path: Path, host: str
) -> None:
    host_of_all = {"SAFELIGHT_HOST": "0.0.0.0", "SAFELIGHT_LOGIN": "keys"}  # noqa: S104  as asked
    server = RunningServer(tmp_path / "data", host_of_all)
    server.start()
    try:
        base = f"http://{host}:{server.port}"
        await use(page, server.login_url.replace(server.url, base), base)
    finally:
        server.close()
    assert complaints == []


async def test_page_when_forwarded_from_another_port_works_there(
    page: Page, complaints: list[str], tmp_path: Path
) -> None:
    """As by `ssh -L`, or a dev container."""
    port = free_port()
    server = RunningServer(tmp_path / "data")
    server.start()
    try:
        with proxy(tmp_path, port, f"handle {{\n reverse_proxy 127.0.0.1:{server.port}\n }}"):
            base = f"http://localhost:{port}"
            await use(page, server.login_url.replace(server.url, base), base)
    finally:
        server.close()
    assert complaints == []


async def test_page_when_all_addresses_are_listened_on_works_by_either_protocol(
    page: Page, complaints: list[str], tmp_path: Path
) -> None:
    listening = {"SAFELIGHT_HOST": "::", "SAFELIGHT_LOGIN": "keys"}
    server = RunningServer(tmp_path / "data", listening, url="http://[::1]:{port}")
    server.start()
    try:
        await use(page, server.login_url, server.url)
        base = f"http://127.0.0.1:{server.port}"
        await use(page, server.login_url.replace(server.url, base), base)
    finally:
        server.close()
    assert complaints == []

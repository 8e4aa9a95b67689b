"""The page of an installation in parts whose workers are away: each job says what it waits for."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Locator, Page, expect

from tests.chaos.cluster import Cluster, Shape, cluster
from tests.servers import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

PROMPT = "A red cat playing guitar"
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def idle(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """An API that takes jobs, and nobody who runs them."""
    shape = Shape(workers=0, janitors=0)
    with cluster(postgres_server, tmp_path_factory.mktemp("idle"), shape) as running:
        yield running


@pytest.fixture
async def studio(page: Page, idle: Cluster, complaints: list[str]) -> AsyncIterator[Page]:
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(idle.url)
    await page.get_by_label("API key").fill(idle.key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_label("Describe the picture")).to_be_visible()
    complaints.clear()  # of the answer that nobody was signed in
    yield page
    assert complaints == []


def stages(page: Page, text: str) -> Locator:
    return page.locator(".card", has_text=text).locator(".stage")


async def test_page_when_no_worker_serves_a_lane_then_its_jobs_say_so_until_one_does(
    studio: Page, idle: Cluster
) -> None:
    box = studio.get_by_label("Describe the picture")
    await box.fill(PROMPT)
    await box.press("Control+Enter")
    drawing = stages(studio, PROMPT)
    await expect(drawing).to_have_text("No worker serves lane local", timeout=PATIENCE_MS)

    # In the list as well: the job is not looked at by itself.
    await studio.route("**/v1/jobs/job_*/**", lambda route: route.fulfill(status=204))
    await studio.route("**/v1/jobs/job_*", lambda route: route.fulfill(status=503))
    await studio.reload()
    await expect(drawing).to_have_text("No worker serves lane local", timeout=PATIENCE_MS)
    await studio.unroute_all()

    worker = idle.process("late", "worker", "--lanes", "local")
    worker.start()
    try:
        picture = studio.get_by_role("button", name=f"Open picture: {PROMPT}")
        await expect(picture).to_be_visible(timeout=PATIENCE_MS)
    finally:
        assert worker.stop() == 0


async def test_page_when_no_worker_serves_a_batch_then_each_of_its_items_says_so(
    studio: Page,
) -> None:
    await studio.get_by_role("tab", name="Import").click()
    box = studio.get_by_label("Picture addresses, one a line")
    await box.fill("https://media.test/a.png\nhttps://media.test/b.png")
    await box.press("Control+Enter")
    items = stages(studio, "Import of 2 pictures")
    waiting = "No worker serves lane ingest"
    await expect(items).to_have_text([waiting, waiting], timeout=PATIENCE_MS)

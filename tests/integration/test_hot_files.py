"""A file that is requested again and again is served from memory, exactly as from storage."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from safelight.accounts.scopes import ACCOUNT_SCOPES
from safelight.web.files.hot_files import HotFiles
from tests.household import Household
from tests.pictures import picture


@pytest.fixture
async def owner(home: Household) -> AsyncIterator[httpx2.AsyncClient]:
    async with home.client(home.owner, *ACCOUNT_SCOPES) as client:
        yield client


@pytest.fixture
def hot(home: Household, monkeypatch: pytest.MonkeyPatch) -> HotFiles:
    """The files in memory, where time stands still."""
    files = home.safelight.services.files.hot
    monkeypatch.setattr(files, "_clock", lambda: 0.0)
    return files


async def uploaded(owner: httpx2.AsyncClient) -> dict[str, str]:
    """Upload a picture of its own; return the asset."""
    sent = {"file": ("hot.png", picture("png", 20, 30), "image/png")}
    answer = await owner.post("/v1/uploads", files=sent)
    assert answer.status_code == 201, answer.text
    return answer.json()


def told(answer: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return all of an answer that does not differ by request."""
    headers = [each for each in answer.headers.multi_items() if each[0] != "x-request-id"]
    return answer.status_code, answer.content, sorted(headers)


async def test_file_when_it_is_hot_is_served_as_it_was_before(
    owner: httpx2.AsyncClient, hot: HotFiles
) -> None:
    url = (await uploaded(owner))["url"]
    etag = (await owner.head(url)).headers["etag"]
    conditions = [{}, {"If-None-Match": etag}, {"If-None-Match": f'"x", W/{etag}'}]
    conditions += [{"If-None-Match": "*"}, {"If-None-Match": '"x"'}, {"Range": "bytes=2-9"}]
    asked = [(method, each) for method in ("GET", "HEAD") for each in conditions]
    key = url.partition("/files/")[2]
    cold = []
    for method, headers in asked:
        hot.forget(key)
        cold.append(told(await owner.request(method, url, headers=headers)))
    await owner.get(url)
    assert hot.get(key)
    warm = [told(await owner.request(method, url, headers=headers)) for method, headers in asked]
    assert warm == cold
    assert {status for status, _, _ in warm} == {200, 206, 304}


async def test_file_when_it_is_hot_and_its_asset_is_deleted_is_gone_at_once(
    owner: httpx2.AsyncClient, hot: HotFiles
) -> None:
    asset = await uploaded(owner)
    url = asset["url"]
    assert (await owner.get(url)).status_code == 200
    assert hot.get(url.partition("/files/")[2])
    assert (await owner.delete(f"/v1/assets/{asset['id']}")).is_success
    assert (await owner.get(url)).status_code == 404


async def test_file_when_it_is_private_or_asked_for_with_parameters_is_never_hot(
    home: Household, owner: httpx2.AsyncClient, hot: HotFiles
) -> None:
    asset = home.things["asset private"]
    shown = await owner.get(f"/v1/assets/{asset}")
    assert (await owner.get(shown.json()["url"])).status_code == 200
    url = (await uploaded(owner))["url"]
    assert (await owner.get(f"{url}?download=true")).status_code == 200
    for key in (home.things["key private"], url.partition("/files/")[2]):
        assert hot.get(key) is None


async def test_file_when_it_is_hot_and_requested_too_often_is_refused(
    home: Household, owner: httpx2.AsyncClient, hot: HotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = home.safelight.services.files
    monkeypatch.setattr(files.rates, "_clock", lambda: 0.0)
    url = (await uploaded(owner))["url"]
    allowed = int(files.most_per_s * 2)
    answers = [(await owner.get(url)).status_code for _ in range(allowed + 1)]
    assert hot.get(url.partition("/files/")[2])
    assert answers == [200] * allowed + [429]

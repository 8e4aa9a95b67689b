"""Pictures on the fly over HTTP: what comes out, who may ask, and how it is cached."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2
import pytest
import pyvips

from safelight.accounts.scopes import Scope
from safelight.accounts.service import Accounts
from safelight.db.engine import open_database
from tests import factories, pictures
from tests.acceptance.conftest import RunningServer

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parent.parent.parent
LOADERS = {"webp": "webpload", "avif": "heifload", "jpeg": "jpegload", "png": "pngload"}
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client


@pytest.fixture
async def anybody(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody without a key, whose program says nothing of what it takes."""
    async with httpx2.AsyncClient(
        base_url=server.url, headers={"Accept": "*/*"}, timeout=60, trust_env=False
    ) as client:
        yield client


async def upload(api: httpx2.AsyncClient, data: bytes) -> dict[str, Any]:
    sent = await api.post("/v1/uploads", files={"file": ("photo", data, "image/jpeg")})
    assert sent.status_code == 201, sent.text
    document: dict[str, Any] = sent.json()
    return document


@pytest.fixture
async def photo(api: httpx2.AsyncClient) -> dict[str, Any]:
    """An asset of 400 x 600, from a camera that was held upright and knew where it was."""
    return await upload(api, pictures.photo(orientation=6, width=600, height=400))


async def signed(api: httpx2.AsyncClient, asset: dict[str, Any], **params: Any) -> dict[str, Any]:
    answer = await api.get(f"/v1/assets/{asset['id']}/renditions", params=params)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def decoded(answer: httpx2.Response) -> pyvips.Image:
    assert answer.status_code == 200, answer.text
    return pyvips.Image.new_from_buffer(answer.content, "")


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("form", ["webp", "avif", "jpeg", "png"])
@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"w": 200}, (200, 300)),
        ({"w": 100, "h": 100}, (67, 100)),
        ({"w": 100, "h": 100, "fit": "cover"}, (100, 100)),
        ({"w": 1000, "h": 1000, "fit": "cover"}, (400, 400)),
        ({"w": 300, "h": 50, "fit": "fill"}, (300, 50)),
        ({}, (400, 600)),
    ],
)
async def test_picture_when_asked_for_has_size_and_format_and_no_metadata(
    api: httpx2.AsyncClient,
    anybody: httpx2.AsyncClient,
    photo: dict[str, Any],
    form: str,
    params: dict[str, Any],
    size: tuple[int, int],
) -> None:
    link = await signed(api, photo, format=form, **params)
    answer = await anybody.get(link["url"])
    image = decoded(answer)
    assert (image.width, image.height) == (link["width"], link["height"]) == size
    assert answer.headers["content-type"] == f"image/{form}"
    assert str(image.get("vips-loader")).startswith(LOADERS[form])
    assert not [name for name in image.get_fields() if re.match("exif|xmp|iptc|icc", name)]
    assert b"GPS" not in answer.content
    assert "vary" not in answer.headers
    # The red block of the upper left, turned with the picture to the right.
    red, green, blue = image.getpoint(image.width * 7 // 8, image.height // 8)[:3]
    assert red > 190
    assert max(green, blue) < 90


async def test_picture_when_asked_for_again_is_an_immutable_file(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, photo: dict[str, Any]
) -> None:
    url = (await signed(api, photo, w=120, format="webp"))["url"]
    whole = await anybody.get(url)
    again = await anybody.get(url)
    assert again.content == whole.content
    assert whole.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert whole.headers["x-content-type-options"] == "nosniff"
    etag = whole.headers["etag"]
    assert re.fullmatch('"[^"]+"', etag)
    assert again.headers["etag"] == etag
    same = await anybody.get(url, headers={"If-None-Match": etag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    head = await anybody.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    part = await anybody.get(url, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, whole.content[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{len(whole.content)}"
    saved = await anybody.get(f"{url}&download=1")
    assert saved.content == whole.content
    name = photo["url"].rpartition("/")[2].partition(".")[0]
    assert saved.headers["content-disposition"] == f'attachment; filename="{name}.webp"'


async def test_picture_when_first_asked_for_by_head_has_the_headers_of_get(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, photo: dict[str, Any]
) -> None:
    url = (await signed(api, photo, w=121))["url"]
    head, whole = await anybody.head(url), await anybody.get(url)
    assert head.headers["etag"] == whole.headers["etag"]
    assert head.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize(
    ("alpha", "accept", "form"),
    [
        (False, BROWSER, "avif"),
        (False, "image/webp,*/*", "webp"),
        (False, "image/avif;q=0,image/webp;q=0.1", "webp"),
        (False, "image/*", "jpeg"),
        (True, "*/*", "png"),
        (True, BROWSER, "avif"),
    ],
)
async def test_picture_when_the_format_is_auto_goes_by_accept(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, alpha: bool, accept: str, form: str
) -> None:
    asset = await upload(api, pictures.picture("png", 90, 60, alpha=alpha))
    url = (await signed(api, asset, w=45))["url"]
    headers = {"Accept": accept}
    answer = await anybody.get(url, headers=headers)
    image = decoded(answer)
    assert answer.headers["content-type"] == f"image/{form}"
    assert (image.width, image.height, bool(image.hasalpha())) == (45, 30, alpha)
    fixed = await anybody.get((await signed(api, asset, w=45, format=form))["url"])
    assert fixed.headers["etag"] == answer.headers["etag"], "one object for both"
    matching = headers | {"If-None-Match": answer.headers["etag"]}
    others = [
        await anybody.head(url, headers=headers),
        await anybody.get(url, headers=matching),
        await anybody.get(url, headers=headers | {"Range": "bytes=0-1"}),
    ]
    assert [each.status_code for each in others] == [200, 304, 206]
    assert {each.headers["vary"] for each in (answer, *others)} == {"Accept"}


async def test_picture_when_the_parameters_are_spelled_otherwise_is_the_same(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, photo: dict[str, Any]
) -> None:
    url = (await signed(api, photo, w=80, h=60, fit="cover", format="jpeg"))["url"]
    base, _, query = url.partition("?")
    assert query.startswith("fit=cover&format=jpeg&h=60&w=80&sig=")
    reordered = "&".join(reversed(query.split("&"))) + "&quality=75"
    first, second = await anybody.get(url), await anybody.get(f"{base}?{reordered}")
    assert first.headers["etag"] == second.headers["etag"]


async def test_picture_when_the_signature_is_wrong_is_refused(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, photo: dict[str, Any]
) -> None:
    url = (await signed(api, photo, w=77))["url"]
    other = await upload(api, pictures.picture("jpeg", 90, 60))
    sig = url.partition("sig=")[2]
    assert len(sig) == 22
    for refused in (
        f"{photo['url']}?w=77",
        f"{photo['url']}?format=auto",
        f"{photo['url']}?w=77&sig=",
        f"{photo['url']}?w=77&sig={sig[:-1]}",
        f"{photo['url']}?w=77&sig={'A' * 22}",
        f"{photo['url']}?w=78&sig={sig}",
        f"{photo['url']}?w=77&quality=74&sig={sig}",
        f"{other['url']}?w=77&sig={sig}",
    ):
        assert problem(await anybody.get(refused)) == (403, "signature_invalid"), refused
    assert (await anybody.get(url)).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("w=0", "w"),
        ("w=4097", "w"),
        ("w=-1", "w"),
        ("w=12.5", "w"),
        ("w=", "w"),
        ("h=many", "h"),
        ("fit=inside", "fit"),
        ("format=bmp", "format"),
        ("quality=0", "quality"),
        ("quality=101", "quality"),
        ("w=10&w=20", "w"),
        ("w=10&sig=a&sig=b", "sig"),
        ("width=10", "width"),
        ("w=10&fit=cover", "fit"),
        ("h=10&fit=fill", "fit"),
        ("format=png&quality=50", "quality"),
        ("download=perhaps", "download"),
    ],
)
async def test_picture_when_a_parameter_is_bad_names_it(
    api: httpx2.AsyncClient,
    anybody: httpx2.AsyncClient,
    photo: dict[str, Any],
    query: str,
    field: str,
) -> None:
    answer = await anybody.get(f"{photo['url']}?{query}")
    assert problem(answer) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    if field not in {"sig", "download"}:
        link = await api.get(f"/v1/assets/{photo['id']}/renditions?{query}")
        assert problem(link) == (422, "invalid_request")


async def test_picture_when_the_asset_is_deleted_is_gone(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, photo: dict[str, Any]
) -> None:
    made = (await signed(api, photo, w=33))["url"]
    unmade = (await signed(api, photo, w=34))["url"]
    assert (await anybody.get(made)).status_code == 200
    assert (await api.delete(f"/v1/assets/{photo['id']}")).status_code == 200
    for url in (made, unmade):
        assert problem(await anybody.get(url)) == (404, "not_found")
    gone = await api.get(f"/v1/assets/{photo['id']}/renditions?w=33")
    assert problem(gone) == (404, "not_found")


async def test_link_when_the_asset_is_not_the_callers_or_no_picture_is_refused(
    api: httpx2.AsyncClient, server: RunningServer, photo: dict[str, Any]
) -> None:
    path = f"/v1/assets/{photo['id']}/renditions?w=9"
    async with server.client(key=await server.new_account_key()) as other:
        assert problem(await other.get(path)) == (404, "not_found")
        keys = [(await each.get("/v1/account/signing-key")).json() for each in (api, other)]
    assert keys[0] != keys[1]
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as nobody:
        assert problem(await nobody.get(path)) == (401, "unauthenticated")
    sent = await api.post(
        "/v1/upload/batch",
        files={"files": ("mug.png", pictures.picture(), "image/png")},
        headers={"Prefer": "wait=60"},
    )
    job = sent.json()["items"][0]["job"]
    model, private = job["outputs"][0]["id"], job["inputs"][0]["source"]
    for asset_id in (model, private):
        link = await api.get(f"/v1/assets/{asset_id}/renditions?w=9")
        assert problem(link) == (409, "no_public_picture")
    url = f"{job['outputs'][0]['url']}?w=9&sig={'A' * 22}"
    assert problem(await api.get(url)) == (409, "no_public_picture")


async def test_signing_key_when_the_key_may_only_read_is_refused(server: RunningServer) -> None:
    database = open_database(f"sqlite:///{server.data_dir / 'safelight.db'}")
    try:
        account = await Accounts(database).ensure_first("anybody")
        key = await factories.new_key(database, account.id, frozenset({Scope.ASSETS_READ}))
    finally:
        await database.close()
    async with server.client(key=key) as reader:
        assert problem(await reader.get("/v1/account/signing-key")) == (403, "forbidden")


async def test_page_when_its_examples_are_run_their_addresses_work(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, photo: dict[str, Any], tmp_path: Path
) -> None:
    page = (_ROOT / "docs" / "images-on-the-fly.md").read_text()
    key = (await api.get("/v1/account/signing-key")).json()["signing_key"]
    params = {"w": 40, "h": 30, "fit": "cover"}
    expected = (await signed(api, photo, **params))["url"]
    given = json.dumps(photo["url"]), json.dumps(key), json.dumps(params)
    for language, call, program in (
        ("python", "print(picture_url({}, {}, **{}))", [sys.executable, "-I"]),
        ("js", "console.log(pictureUrl({}, {}, {}))", [_node()]),
    ):
        (example,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
        script = tmp_path / f"example.{'py' if language == 'python' else 'mjs'}"
        script.write_text(f"{example}\n{call.format(*given)}\n")
        assert await anyio.to_thread.run_sync(_run, [*program, str(script)]) == expected
    assert (await anybody.get(expected)).status_code == 200


def _run(command: list[str]) -> str:
    ran = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return ran.stdout.decode().strip()


def _node() -> str:
    own = _ROOT / ".tools" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    assert node, "Node.js is missing: make setup-dev"
    return node


async def test_metrics_when_pictures_were_asked_for_count_hits_and_misses(
    anybody: httpx2.AsyncClient, api: httpx2.AsyncClient, photo: dict[str, Any]
) -> None:
    url = (await signed(api, photo, w=55))["url"]
    before = await _counted(anybody)
    for _ in range(3):
        await anybody.get(url)
    after = await _counted(anybody)
    assert (after["miss"] - before["miss"], after["hit"] - before["hit"]) == (1, 2)


async def _counted(client: httpx2.AsyncClient) -> dict[str, float]:
    text = (await client.get("/metrics")).text
    found = dict(re.findall(r'safelight_variants_total\{outcome="(\w+)"\} (\S+)', text))
    return {name: float(found.get(name, 0)) for name in ("hit", "miss")}

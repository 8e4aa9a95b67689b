"""Batches of pictures to 3D: watched, cut off, killed, mended, and taken home, on a real server."""

import asyncio
import base64
import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pyvips
import resvg_py

from tests import pictures
from tests.acceptance.conftest import RunningServer, command, environment
from tests.servers import wait_until_async
from tests.stubs.fal import KEY, FalStub

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ICONS = ROOT / "src" / "safelight" / "providers" / "local" / "sketch" / "data" / "icons.zip"
SIDE = 256
WAIT_S = 100.0
TRIPO = "fal/tripo3d/tripo/v2.5/image-to-3d"
VIEWS = "fal/tripo3d/tripo/v2.5/multiview-to-3d"
PARAMS = json.dumps({"face_limit": 4000})


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client


def icons(count: int) -> Iterator[tuple[str, bytes]]:
    """Drawn things on nothing, each another."""
    with zipfile.ZipFile(ICONS) as drawn:
        names = sorted(drawn.namelist())
        for name in names[:: len(names) // count][:count]:
            drawing = drawn.read(name).decode().replace("§", "")
            svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{drawing}</svg>'
            content = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE)
            yield f"{Path(name).stem}.png", bytes(content)


def blank() -> bytes:
    """A picture that shows nothing."""
    return pyvips.Image.black(64, 64, bands=3).pngsave_buffer()


def parts(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("files", (name, content, "image/png")) for name, content in files]


async def upload(api: httpx2.AsyncClient, name: str = "a.png") -> str:
    sent = await api.post("/v1/uploads", files={"file": (name, pictures.picture())})
    return sent.json()["id"]


async def until_final(api: httpx2.AsyncClient, batch_id: str) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        batch = (await api.get(f"/v1/batches/{batch_id}")).json()
        return batch if batch["finished_at"] else None

    return await wait_until_async(found, WAIT_S)


class Viewer:
    """Follows a batch as a browser does: the last id it saw, and what it knows of each item."""

    def __init__(self, api: httpx2.AsyncClient, url: str) -> None:
        self.api = api
        self.url = url
        self.last_id = ""
        self.frames = 0
        self.events: dict[int, list[str]] = {}
        self.percents: list[float] = []
        self.final: dict[str, Any] | None = None

    async def watch(self, frames: int | None = None) -> None:
        """Read until all is final, or hang up after so many frames."""
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with self.api.sse(self.url, headers=headers, max_event_size=1 << 24) as source:
            async for event in source:
                self.last_id = event.id or self.last_id
                self._take(event.event, event.json())
                if frames is not None and self.frames >= frames:
                    return

    def _take(self, kind: str, told: Any) -> None:
        self.frames += 1
        if kind == "snapshot":
            for item in told["items"]:
                if item["job"] and item["job"]["status"] == "succeeded":
                    self._note(item["index"], "job.succeeded")
            self.final = told if told["finished_at"] else None
        elif kind == "batch.progress":
            self.percents.append(told["data"]["progress"])
            for item in told["data"]["items"]:
                self._note(item["index"], item["event"])
        elif kind == "batch.finished":
            self.final = told["data"]["batch"]

    def _note(self, index: int, event: str) -> None:
        self.events.setdefault(index, []).append(event)


async def test_batch_of_25_when_two_show_nothing_succeeds_in_part_and_is_taken_home(
    api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    files = [*icons(23), ("nothing.png", blank()), ("no thing.png", blank())]
    answer = await api.post(
        "/v1/upload/batch",
        files=parts(*files),
        data={"name": "Mugs / 2026", "tags": '["shop"]', "params": PARAMS},
    )
    assert answer.status_code == 202, answer.text
    batch = answer.json()
    viewer = Viewer(api, batch["events_url"])
    while viewer.final is None:  # a viewer whose connection breaks again and again
        await viewer.watch(viewer.frames + 4)
    final = viewer.final
    assert (final["status"], final["progress"]) == ("partial", 100)
    assert final["counts"] | {"total": 25} == final["counts"]
    assert (final["counts"]["succeeded"], final["counts"]["failed"]) == (23, 2)
    assert {item["job"]["error"]["code"] for item in final["items"][23:]} == {"no_foreground"}
    ends = {index: told[-1] for index, told in viewer.events.items()}
    assert [ends[index] for index in range(25)] == ["job.succeeded"] * 23 + ["job.failed"] * 2
    assert viewer.percents == sorted(viewer.percents)

    taken = await api.get(batch["download_url"], params={"previews": "true"})
    assert "Mugs%20_%202026.zip" in taken.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(taken.content)) as zipped:
        assert zipped.testzip() is None
        zipped.extractall(tmp_path)
    told = json.loads((tmp_path / "manifest.json").read_text())
    assert (told["name"], told["counts"]["failed"]) == ("Mugs / 2026", 2)
    for (name, _), item in zip(files, told["items"], strict=True):
        if item["status"] == "failed":
            assert (item["files"], item["error"]["code"]) == ([], "no_foreground")
            continue
        (file,) = item["files"]
        model, preview = file["paths"]
        assert model == name.replace(".png", ".glb")
        assert (tmp_path / model).stat().st_size == file["bytes"]
        assert (tmp_path / preview).read_bytes()[8:12] == b"WEBP"
        assert file["facts"]["watertight"] is True
        assert file["facts"]["triangles"] <= 4000
    check_models(tmp_path)


def check_models(folder: Path) -> None:
    """Let Khronos' validator judge each file."""
    files = sorted(folder.glob("*.glb"))
    own = ROOT / ".tools" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    assert node
    assert len(files) == 23
    script = str(ROOT / "tests" / "validate_glb.mjs")
    done = subprocess.run([node, script, *map(str, files)], capture_output=True, check=True)
    for report in json.loads(done.stdout):
        issues = report["issues"]
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues


async def test_batch_when_changed_is_found_under_its_new_name(api: httpx2.AsyncClient) -> None:
    made = await api.post("/v1/upload/batch", files=parts(("a.png", blank())))
    batch_id = made.json()["id"]
    changed = await api.patch(f"/v1/batches/{batch_id}", json={"name": "cups", "tags": ["x"]})
    assert (changed.json()["name"], changed.json()["tags"]) == ("cups", ["x"])
    kept = await api.patch(f"/v1/batches/{batch_id}", json={"metadata": {"k": 1}})
    assert (kept.json()["name"], kept.json()["metadata"]) == ("cups", {"k": 1})
    first = (await api.get("/v1/batches", params={"limit": 1})).json()
    assert [one["id"] for one in first["data"]] == [batch_id]
    assert first["data"][0]["counts"]["total"] == 1
    assert "items" not in first["data"][0]
    final = await until_final(api, batch_id)
    assert final["status"] == "failed"
    refused = await api.get(f"/v1/batches/{batch_id}/download")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert (await api.patch("/v1/batches/bat_none", json={"name": "x"})).status_code == 404
    strange = await api.patch(f"/v1/batches/{batch_id}", json={"status": "succeeded"})
    assert strange.status_code == 422


async def test_batch_of_kept_pictures_when_canceled_and_redriven_ends_as_told(
    api: httpx2.AsyncClient,
) -> None:
    first, second = await upload(api, "mug.png"), await upload(api, "cup.png")
    body = {
        "model": "fake",
        "params": {"seconds": 60},
        "items": [first, {"image": second, "name": "a cup", "params": {"seconds": 0}}],
    }
    made = await api.post("/v1/batches", json=body, headers={"Idempotency-Key": "b-1"})
    assert made.status_code == 202, made.text
    again = await api.post("/v1/batches", json=body, headers={"Idempotency-Key": "b-1"})
    assert again.json()["id"] == made.json()["id"]
    batch_id = made.json()["id"]
    assert [item["name"] for item in made.json()["items"]] == ["mug.png", "a cup"]

    async def one_is_done() -> bool:
        batch = (await api.get(f"/v1/batches/{batch_id}")).json()
        return batch["counts"]["succeeded"] == 1

    await wait_until_async(one_is_done, WAIT_S)
    ended = (await api.post(f"/v1/batches/{batch_id}/cancel")).json()
    assert (ended["status"], ended["counts"]["canceled"]) == ("partial", 1)
    assert (await api.post(f"/v1/batches/{batch_id}/cancel")).json()["finished_at"]
    same = (await api.post(f"/v1/batches/{batch_id}/redrive")).json()
    assert same["counts"]["canceled"] == 1, "what was canceled is left alone"


@pytest.mark.parametrize(
    ("items", "field"),
    [
        (["ast_none"], "items.0"),
        ([{"front": "ast_none"}], "front"),
        ([{"left": "ast_none"}], "items.0"),
        ([{"image": "ast_1", "front": "ast_1"}], "items.0"),
        (["http://127.0.0.1/a.png"], "items.0"),
        ([], "items"),
    ],
)
async def test_batch_of_kept_pictures_when_an_item_is_bad_queues_nothing(
    api: httpx2.AsyncClient, items: list[Any], field: str
) -> None:
    before = (await api.get("/v1/batches", params={"limit": 1})).json()["data"]
    answer = await api.post("/v1/batches", json={"items": items})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert (await api.get("/v1/batches", params={"limit": 1})).json()["data"] == before
    many = await api.post("/v1/batches", json={"items": ["ast_1"] * 26})
    assert many.json()["code"] == "too_many_files"


# --- a vendor's, and a server that dies ---------------------------------------------------------


@pytest.fixture
async def fal() -> AsyncIterator[FalStub]:
    async with FalStub(pictures.picture("png"), work_s=0.1).running() as running:
        yield running


@pytest.fixture
async def near_fal(fal: FalStub, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A server of which all 3D models come from the stub."""
    server = RunningServer(
        tmp_path / "data",
        {
            "SAFELIGHT_FAL_KEY": KEY,
            "SAFELIGHT_FAL_QUEUE_URL": fal.url,
            "SAFELIGHT_FAL_KEYS_URL": fal.keys_url,
            "SAFELIGHT_FAL_PLATFORM_URL": fal.platform_url,
            "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
            "SAFELIGHT_FETCH_PORTS": str(fal.port),
            "SAFELIGHT_MAX_ATTEMPTS": "1",
        },
        is_public=True,
    )
    await asyncio.to_thread(server.start)
    async with server.client() as client:
        yield client
    await asyncio.to_thread(server.close)


async def test_batch_at_fal_when_an_item_fails_twice_is_mended_by_redrives(
    fal: FalStub, near_fal: httpx2.AsyncClient
) -> None:
    api = near_fal
    fal.output = {"task_id": "t", "pbr_model": {"url": "{url}/files/model.glb"}}
    bad = pictures.picture(width=80)
    fal.failure = {"detail": "Boom", "error_type": "internal_server_error"}
    fal.is_bad = lambda body: body["image_url"] == data_uri(bad) and is_begun_at_most(fal, body, 2)
    good = pictures.picture()
    sent = parts(("one.png", good), ("bad.png", bad), ("two.png", good))
    made = await api.post("/v1/upload/batch", files=sent, data={"model": TRIPO})
    assert made.status_code == 202, made.text
    batch_id = made.json()["id"]
    for _ in range(2):
        batch = await until_final(api, batch_id)
        assert batch["status"] == "partial"
        assert batch["items"][1]["job"]["status"] == "failed"
        await api.post(f"/v1/batches/{batch_id}/redrive")
    batch = await until_final(api, batch_id)
    assert batch["status"] == "succeeded"
    assert len(fal.orders) == 5, "what had succeeded was not paid again"
    model = batch["items"][1]["job"]["outputs"][0]
    assert model["facts"]["triangles"] > 0
    assert set(model["renditions"]) >= {"preview", "thumb", "turntable"}


def data_uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def is_begun_at_most(fal: FalStub, body: Mapping[str, Any], times: int) -> bool:
    return sum(work.body["image_url"] == body["image_url"] for work in fal.works.values()) <= times


async def test_batch_of_views_when_its_model_takes_them_sends_each_as_its_side(
    fal: FalStub, near_fal: httpx2.AsyncClient
) -> None:
    api = near_fal
    fal.output = {"task_id": "t", "pbr_model": {"url": "{url}/files/model.glb"}}
    sides = {side: await upload(api, f"{side}.png") for side in ("front", "back", "left")}
    body = {"model": VIEWS, "items": [{**sides, "name": "mug"}]}
    made = await api.post("/v1/batches", json=body)
    assert made.status_code == 202, made.text
    batch = await until_final(api, made.json()["id"])
    assert batch["status"] == "succeeded", batch
    (order,) = fal.orders
    assert {name for name in order.json if name.endswith("_image_url")} == {
        "front_image_url",
        "back_image_url",
        "left_image_url",
    }
    plain = await api.post("/v1/batches", json={"model": "inflate", "items": body["items"]})
    assert plain.json()["errors"][0]["message"].startswith("the model 'inflate' takes no view")


def test_batch_when_the_server_is_killed_in_its_midst_is_finished_after_the_next_start(
    tmp_path: Path,
) -> None:
    server = RunningServer(tmp_path / "data", {"SAFELIGHT_LOCAL_SLOTS": "2"})
    server.start()
    try:
        asyncio.run(_kill_and_watch(server))
    finally:
        server.close()


async def _kill_and_watch(server: RunningServer) -> None:
    async with server.client() as api:
        sent = parts(*icons(12))
        made = await api.post("/v1/upload/batch", files=sent, data={"params": PARAMS})
        batch_id, events_url = made.json()["id"], made.json()["events_url"]
        viewer = Viewer(api, events_url)

        async def some_are_done() -> bool:
            batch = (await api.get(f"/v1/batches/{batch_id}")).json()
            return 0 < batch["counts"]["succeeded"] < 12

        watching = asyncio.create_task(viewer.watch())  # noqa: TID251  dies with the server
        await wait_until_async(some_are_done, WAIT_S)
        await asyncio.to_thread(server.kill)
        with pytest.raises((httpx2.TransportError, httpx2.HTTPError)):
            await watching
    await asyncio.to_thread(server.start)
    async with server.client() as api:
        viewer.api = api
        await viewer.watch()
        assert viewer.final is not None
        assert viewer.final["status"] == "succeeded"
        assert {index: told[-1] for index, told in viewer.events.items()} == dict.fromkeys(
            range(12), "job.succeeded"
        )
        for item in viewer.final["items"]:
            assert len(item["job"]["outputs"]) == 1


# --- the command line ---------------------------------------------------------------------------


def run(server: RunningServer, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=environment(server.data_dir, {"SAFELIGHT_PORT": str(server.port)}),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def test_command_line_when_given_many_pictures_makes_a_batch_that_can_be_downloaded(
    server: RunningServer, tmp_path: Path
) -> None:
    for name, content in icons(3):
        (tmp_path / name).write_bytes(content)
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    made = run(
        server, "model3d", *names, "--name", "three", "--tag", "x", "--json", folder=tmp_path
    )
    assert made.returncode == 0, made.stderr
    batch = json.loads(made.stdout)
    assert (batch["name"], batch["tags"], batch["status"]) == ("three", ["x"], "succeeded")
    saved = run(server, "download", batch["id"], folder=tmp_path)
    assert saved.returncode == 0, saved.stderr
    with zipfile.ZipFile(tmp_path / saved.stdout.strip()) as zipped:
        assert sorted(zipped.namelist()) == sorted(
            ["manifest.json", *(name.replace(".png", ".glb") for name in names)]
        )
    model = batch["items"][0]["job"]["id"]
    printed = run(server, "download", model, "--format", "stl", "-o", "p.stl", folder=tmp_path)
    assert printed.returncode == 0, printed.stderr
    assert (tmp_path / "p.stl").stat().st_size > 1000
    strange = run(server, "download", model, "--format", "blend", folder=tmp_path)
    assert (strange.returncode, "format" in strange.stderr) == (2, True), strange.stderr
    again = run(server, "redrive", batch["id"], folder=tmp_path)
    assert again.returncode == 0, again.stderr
    wrong = run(server, "model3d", *names[:2], "--back", names[2], folder=tmp_path)
    assert (wrong.returncode, "go with one picture" in wrong.stderr) == (2, True)


# --- other formats ------------------------------------------------------------------------------

STARTS = {"obj": b"PK", "stl": b"", "ply": b"ply\n", "usdz": b"PK"}


async def test_model_when_asked_for_in_another_format_is_made_once_and_stays(
    api: httpx2.AsyncClient,
) -> None:
    sent = parts(*icons(2))
    wait = {"Prefer": "wait=60"}
    made = await api.post("/v1/upload/batch", files=sent, data={"params": PARAMS}, headers=wait)
    batch = made.json()
    job = batch["items"][0]["job"]
    asset = job["outputs"][0]
    addresses: list[str] = []
    for form, start in STARTS.items():
        first = await api.get(f"/v1/assets/{asset['id']}/formats/{form}")
        again = await api.get(f"/v1/jobs/{job['id']}/download", params={"format": form})
        assert (first.status_code, again.status_code) == (303, 303), first.text
        assert first.headers["location"] == again.headers["location"]
        addresses.append(first.headers["location"])
        file = await api.get(addresses[-1], headers={"Authorization": ""})
        assert file.content.startswith(start)
        assert file.headers["content-disposition"].startswith("attachment")
        assert len(file.content) > 1000
    taken = await api.get(batch["download_url"], params={"format": "stl"})
    with zipfile.ZipFile(io.BytesIO(taken.content)) as zipped:
        names = zipped.namelist()
        triangles = int.from_bytes(zipped.read(names[1])[80:84], "little")
    assert [Path(name).suffix for name in names] == [".json", ".stl", ".stl"]
    assert triangles == asset["facts"]["triangles"]
    unknown = await api.get(f"/v1/assets/{asset['id']}/formats/blend")
    assert unknown.status_code == 422
    picture = await upload(api)
    refused = await api.get(f"/v1/assets/{picture}/formats/stl")
    assert refused.json()["code"] == "format_unavailable"
    gone = await api.delete(f"/v1/jobs/{job['id']}")
    assert gone.status_code == 200, gone.text
    assert {(await api.get(address)).status_code for address in addresses} == {404}

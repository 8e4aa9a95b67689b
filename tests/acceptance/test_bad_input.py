"""Any bad request gets a clear problem and keeps nothing, and the server goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import pictures
from tests.acceptance.conftest import RunningServer
from tests.acceptance.origin import Origin

pytestmark = pytest.mark.slow

BEYOND = b"II+\0\x08\0\0\0" + b"\xff" * 8  # a TIFF whose directory lies past 2**63

MIB = 2**20
Files = list[tuple[str, tuple[str, bytes, str]]]


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client
        assert (await client.get("/health/ready")).json()["status"] == "ok"


def files(*contents: bytes, name: str = "picture.png") -> Files:
    return [("files", (name, content, "image/png")) for content in contents]


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer that is one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert document["detail"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


async def counted(api: httpx2.AsyncClient) -> tuple[int, int]:
    """How many jobs and assets there are."""
    jobs = (await api.get("/v1/jobs", params={"limit": 200})).json()["data"]
    assets = (await api.get("/v1/assets", params={"limit": 200})).json()["data"]
    return len(jobs), len(assets)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"prompt": ""}, "invalid_request", "prompt"),
        ({"prompt": "   "}, "invalid_request", "prompt"),
        ({}, "invalid_request", "prompt"),
        ({"prompt": "a" * 20_000}, "invalid_request", "prompt"),
        ({"prompt": "a\x00b"}, "invalid_request", "prompt"),
        ({"prompt": "a cat", "model": "gpt-99"}, "unknown_model", "model"),
        ({"prompt": "a cat", "colour": "red"}, "invalid_request", "colour"),
        ({"prompt": "a cat", "params": {"colour": "red"}}, "invalid_request", "colour"),
        ({"prompt": "a cat", "n": 0}, "invalid_request", "n"),
        ({"prompt": "a cat", "n": 1000}, "invalid_request", "n"),
        ({"prompt": "a cat", "n": "many"}, "invalid_request", "n"),
        ({"prompt": "a cat", "n": "2"}, "invalid_request", "n"),
        ({"prompt": "a cat", "priority": True}, "invalid_request", "priority"),
        ({"prompt": "a cat", "start_at": 2_000_000_000}, "invalid_request", "start_at"),
        ({"prompt": "a cat", "size": "10000000x1"}, "invalid_request", "size"),
        ({"prompt": "a cat", "format": "bmp"}, "invalid_request", "format"),
        ({"prompt": "a cat", "seed": -1}, "invalid_request", "seed"),
        ({"prompt": "a cat", "seed": 10**30}, "invalid_request", "seed"),
        ({"prompt": "a cat", "metadata": {"a": "b" * 20_000}}, "invalid_request", "metadata"),
        ({"prompt": "a cat", "tags": ["t"] * 33}, "invalid_request", "tags"),
        ({"prompt": "a cat", "start_by": "2001-01-01T00:00:00Z"}, "invalid_request", "start_by"),
        ({"prompt": "a cat", "references": ["ast_nobody"]}, "invalid_request", "references"),
        (
            {"prompt": "a", "references": ["http://10.0.0.1/"]},
            "invalid_request",
            "references.0",
        ),
    ],
)
async def test_generate_when_a_field_is_bad_names_it(
    api: httpx2.AsyncClient, body: dict[str, Any], code: str, field: str
) -> None:
    before = await counted(api)
    document = problem(await api.post("/v1/generate", json=body), 422, code)
    assert [error["field"] for error in document["errors"]] == [field]
    assert await counted(api) == before


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"prompt": "\xff"}', b"", b"[]", b"null"])
async def test_generate_when_the_body_is_no_object_says_so(
    api: httpx2.AsyncClient, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.post("/v1/generate", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    problem(
        answer,
        answer.status_code,
        "bad_request" if answer.status_code == 400 else "invalid_request",
    )


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"just some text, no picture", "media_unsupported"),
        (b"<html><body>not found</body></html>", "media_unsupported"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "media_unsupported"),
        (pictures.truncated(pictures.picture("jpeg", 640, 480)), "media_truncated"),
        (pictures.claiming("png", 60_000, 60_000), "media_too_many_pixels"),
        (pictures.animation("gif"), "media_unsupported"),
        (pictures.picture("tiff"), "media_unsupported"),
        (BEYOND, "media_unreadable"),
    ],
    ids=["text", "html", "svg", "truncated", "huge", "gif", "tiff", "beyond"],
)
async def test_batch_when_one_picture_is_bad_queues_nothing(
    api: httpx2.AsyncClient, content: bytes, code: str
) -> None:
    before = await counted(api)
    answer = await api.post("/v1/upload/batch", files=files(pictures.picture(), content))
    document = problem(answer, 422, "invalid_request")
    assert [(error["field"], error["code"]) for error in document["errors"]] == [("files.1", code)]
    assert await counted(api) == before


async def test_upload_when_its_directory_lies_beyond_any_file_is_refused(
    api: httpx2.AsyncClient,
) -> None:
    answer = await api.post("/v1/uploads", files={"file": ("a.tif", BEYOND)})
    problem(answer, 422, "media_unreadable")


async def test_batch_when_a_file_is_empty_refuses_it(api: httpx2.AsyncClient) -> None:
    problem(await api.post("/v1/upload/batch", files=files(b"")), 422, "media_empty")


async def test_batch_when_26_files_come_refuses_them(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/upload/batch", files=files(*[pictures.picture()] * 26))
    problem(answer, 422, "too_many_files")


async def test_batch_when_60_files_come_refuses_them(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/upload/batch", files=files(*[pictures.picture()] * 60))
    problem(answer, 422, "too_many_files")


async def test_batch_when_a_file_is_one_byte_too_large_refuses_it(api: httpx2.AsyncClient) -> None:
    content = pictures.picture() + bytes(10 * MIB)
    answer = await api.post("/v1/upload/batch", files=files(content[: 10 * MIB + 1]))
    problem(answer, 413, "too_large")


async def test_batch_when_no_file_comes_says_so(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/upload/batch", files={"other": ("a.png", b"x", "image/png")})
    assert problem(answer, 422, "invalid_request")["errors"][0]["field"] == "other"
    answer = await api.post("/v1/upload/batch", json={"files": []})
    problem(answer, 400, "bad_request")


@pytest.mark.parametrize(
    "media_type", ["Multipart/Form-Data", "multipart/form-data ", "multipart/x"]
)
async def test_batch_when_the_media_type_is_written_in_capitals_reads_it(
    api: httpx2.AsyncClient, media_type: str
) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        b"not a picture\r\n--b--\r\n"
    )
    headers = {"Content-Type": f"{media_type}; boundary=b"}
    answer = await api.post("/v1/upload/batch", content=body, headers=headers)
    if media_type == "multipart/x":
        assert "Content-Type" in problem(answer, 400, "bad_request")["detail"]
    else:
        assert problem(answer, 422, "invalid_request")["errors"][0]["field"] == "files.0"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"params": "{"}, "params"),
        ({"params": '{"face_limit": 1}'}, "face_limit"),
        ({"params": '{"nonsense": 1}'}, "nonsense"),
        ({"unknown": "1"}, "unknown"),
        ({"tags": '"not a list"'}, "tags"),
    ],
)
async def test_batch_when_a_form_field_is_bad_names_it(
    api: httpx2.AsyncClient, fields: dict[str, str], field: str
) -> None:
    before = await counted(api)
    answer = await api.post("/v1/upload/batch", data=fields, files=files(pictures.picture()))
    assert problem(answer, 422, "invalid_request")["errors"][0]["field"] == field
    assert await counted(api) == before


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://localhost/a.png",
        "http://2130706433/a.png",
        "http://[::1]/a.png",
        "http://[::ffff:10.0.0.1]/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.1.1:8080/a.png",
        "http://user:word@example.com/a.png",
        "http://example.com:22/a.png",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "not an address",
    ],
)
async def test_import_when_the_address_is_not_allowed_refuses_it(
    api: httpx2.AsyncClient, url: str
) -> None:
    before = await counted(api)
    problem(await api.post("/v1/images", json={"url": url}), 422, "url_not_allowed")
    assert await counted(api) == before


async def test_webhook_when_it_is_on_the_same_machine_says_what_allows_it(
    api: httpx2.AsyncClient,
) -> None:
    url = "http://localhost:3000/hook"
    told = [
        problem(await api.post("/v1/webhooks", json={"url": url}), 422, "url_not_allowed"),
        problem(
            await api.post("/v1/generate", json={"prompt": "a cat", "webhook_url": url}),
            422,
            "invalid_request",
        )["errors"][0],
    ]
    for text in (told[0]["detail"], told[1]["message"]):
        assert "add 3000 to SAFELIGHT_FETCH_PORTS" in text
        assert "add 127.0.0.0/8,::1/128 to SAFELIGHT_FETCH_ALLOW_NETWORKS" in text
    assert told[0]["reason"] == "port"


async def test_lists_when_the_cursor_is_empty_say_so(api: httpx2.AsyncClient) -> None:
    for path in ("jobs", "batches", "trash", "audit", "assets"):
        answer = await api.get(f"/v1/{path}", params={"cursor": ""})
        assert problem(answer, 422, "invalid_request")["errors"][0]["field"] == "cursor"


async def test_import_when_neither_or_both_forms_are_given_says_so(api: httpx2.AsyncClient) -> None:
    problem(await api.post("/v1/images", json={}), 422, "invalid_request")
    both = {"url": "https://example.com/a", "urls": ["https://example.com/b"]}
    problem(await api.post("/v1/images", json=both), 422, "invalid_request")
    problem(await api.post("/v1/images", json={"urls": []}), 422, "invalid_request")


@pytest.fixture(scope="module")
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> "Any":
    """A server that may download from this machine, to see how it takes what others send."""
    server = RunningServer(
        tmp_path_factory.mktemp("open"),
        {
            "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
            "SAFELIGHT_FETCH_PORTS": str(origin.port),
            "SAFELIGHT_FETCH_TOTAL_S": "3",
            "SAFELIGHT_FETCH_MAX_BYTES": str(MIB),
            "SAFELIGHT_RETRY_BASE_S": "0.05",
        },
    )
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("path", "code", "attempts"),
    [
        ("/page.html", "media_unsupported", 1),
        ("/page-named.png", "media_unsupported", 1),
        ("/empty.png", "media_empty", 1),
        ("/truncated.jpg", "media_truncated", 1),
        ("/missing.png", "fetch_refused", 1),
        ("/broken", "fetch_failed", 3),
        ("/endless.png", "fetch_too_large", 1),
        ("/drip.png", "fetch_timeout", 3),
        ("/to-metadata", "url_not_allowed", 1),
        ("/to-file", "url_not_allowed", 1),
        ("/loop", "fetch_refused", 1),
    ],
)
async def test_import_when_the_other_server_misbehaves_fails_with_a_code(
    open_server: RunningServer, origin: Origin, path: str, code: str, attempts: int
) -> None:
    async with open_server.client() as api:
        headers = {"Prefer": "wait=30"}
        answer = await api.post("/v1/images", json={"url": origin.url + path}, headers=headers)
        job = answer.json()
        assert (job["status"], job["error"]["code"]) == ("failed", code), job
        assert job["attempts"] == attempts
        assert job["outputs"] == []


async def test_import_when_the_picture_is_unusual_still_keeps_it(
    open_server: RunningServer, origin: Origin
) -> None:
    paths = ["/animated.gif", "/cmyk.jpg", "/deep.png", "/photo.jpg", "/wrong-name.txt"]
    async with open_server.client() as api:
        urls = [origin.url + path for path in paths]
        answer = await api.post("/v1/images", json={"urls": urls}, headers={"Prefer": "wait=30"})
        batch = answer.json()
        assert batch["status"] == "succeeded", batch
        for item in batch["items"]:
            asset = item["job"]["outputs"][0]
            served = await api.get(asset["url"])
            assert served.headers["content-type"] == asset["media_type"]
            assert len(served.content) == asset["bytes"]
            assert {"thumb", "preview"} <= set(asset["renditions"])
            assert b"GPS" not in served.content


async def test_batch_when_there_is_no_object_fails_that_item_alone(api: httpx2.AsyncClient) -> None:
    blank = pictures.encode(pictures.scene(64, 64) * 0 + 200, "png")
    answer = await api.post(
        "/v1/upload/batch",
        files=files(blank, pictures.picture("png", 128, 128)),
        headers={"Prefer": "wait=60"},
    )
    batch = answer.json()
    assert [item["job"]["status"] for item in batch["items"]] == ["failed", "succeeded"]
    assert batch["items"][0]["job"]["error"]["code"] == "no_foreground"
    assert batch["status"] == "partial"


async def test_submit_when_the_disk_is_nearly_full_is_refused_and_reading_goes_on(
    tmp_path: Path,
) -> None:
    server = RunningServer(tmp_path, {"SAFELIGHT_MIN_FREE_BYTES": str(2**60)})
    server.start(ready=False)
    try:
        async with server.client() as api:
            problem(await api.post("/v1/generate", json={"prompt": "a cat"}), 507, "storage_full")
            answer = await api.post("/v1/upload/batch", files=files(pictures.picture()))
            problem(answer, 507, "storage_full")
            ready = await api.get("/health/ready")
            assert ready.status_code == 503
            assert ready.json()["checks"]["disk"]["status"] == "failed"
            assert (await api.get("/v1/jobs")).json()["data"] == []
    finally:
        server.stop()


async def test_routes_when_no_key_comes_refuse(server: RunningServer) -> None:
    async with httpx2.AsyncClient(base_url=server.url) as stranger:
        spec = (await stranger.get("/openapi.json")).json()
        public = {
            "/health/live",
            "/health/ready",
            "/metrics",
            "/problems/{code}",
            "/files/{key}",
            "/v1/session",
            "/v1/auth/login",
            "/v1/auth/login/second-step",
            "/v1/auth/forgotten",
            "/v1/auth/reset",
            "/v1/auth/email/confirm",
            "/v1/auth/providers",
            "/v1/invitations/look",
            "/v1/invitations/accept",
        }
        for path, methods in spec["paths"].items():
            for method in methods:
                if path in public and method != "delete":
                    continue
                answer = await stranger.request(method, path.replace("{", "").replace("}", ""))
                problem(answer, 401, "unauthenticated")
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_files_when_the_key_is_not_public_are_not_found(api: httpx2.AsyncClient) -> None:
    for key in ("originals/acc_x/00", "../safelight.db", "images/../../key.json", "health/probe"):
        problem(await api.get(f"/files/{key}"), 404, "not_found")


async def test_server_when_100_bad_requests_come_stays_well(
    api: httpx2.AsyncClient,
) -> None:
    answers = await asyncio.gather(
        *(api.post("/v1/generate", json={"prompt": "", "n": number}) for number in range(100))
    )
    assert {answer.status_code for answer in answers} == {422}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("member", ["seed", "metadata", "params", "unknown"])
async def test_generate_when_a_number_is_not_finite_refuses_it(
    api: httpx2.AsyncClient, member: str, number: str
) -> None:
    value = f'{{"x": [{number}]}}' if member in ("metadata", "params") else number
    body = f'{{"prompt": "a cat", "{member}": {value}}}'
    headers = {"Content-Type": "application/json"}
    answer = await api.post("/v1/generate", content=body, headers=headers)
    assert "NaN" in problem(answer, 422, "invalid_request")["errors"][0]["message"]


@pytest.mark.parametrize("time", [1_700_000_000, 1.5, "1700000000", True, "2026-01-01"])
async def test_generate_when_a_date_is_a_number_refuses_it(
    api: httpx2.AsyncClient, time: object
) -> None:
    for field in ("start_at", "start_by"):
        answer = await api.post("/v1/generate", json={"prompt": "a cat", field: time})
        assert problem(answer, 422, "invalid_request")["errors"][0]["field"] == field
    answer = await api.get("/v1/assets", params={"created_after": str(time)})
    assert problem(answer, 422, "invalid_request")["errors"][0]["field"] == "created_after"


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_routes_when_json_comes_without_its_header_name_it(
    api: httpx2.AsyncClient, media_type: str | None
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    for path in ("/v1/generate", "/v1/images", "/v1/batches", "/v1/webhooks"):
        answer = await api.post(path, content=b'{"prompt": "a cat"}', headers=headers)
        told = problem(answer, 400, "bad_request")["detail"]
        assert "`Content-Type: application/json`" in told

"""The client follows across lost connections, sends work once, and puts every failure in words."""

import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from safelight.cli.client import Client
from safelight.cli.failure import BadUse, Failure, Refused, Unreachable
from safelight.cli.progress import Update
from tests.unit.cli.documents import BASE, batch, done, job

Answer = Callable[[httpx2.Request], httpx2.Response]
LOCAL = "http://127.0.0.1:4000"


def client(answer: Answer) -> Client:
    return Client(LOCAL, "sk_key", transport=httpx2.MockTransport(answer))


def frame(kind: str, data: Any, event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


class Broken(httpx2.AsyncByteStream):
    """Some frames, and then the connection is gone."""

    def __init__(self, *frames: bytes) -> None:
        self._frames = frames

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for one in self._frames:
            yield one
        raise httpx2.ReadError("gone")


def stream(content: bytes | httpx2.AsyncByteStream) -> httpx2.Response:
    headers = {"content-type": "text/event-stream"}
    if isinstance(content, bytes):
        return httpx2.Response(200, headers=headers, content=content)
    return httpx2.Response(200, headers=headers, stream=content)


async def followed(one: Client, subject: str) -> list[Update]:
    return [update async for update in one.follow(subject)]


async def test_follow_when_the_connection_breaks_resumes_after_the_last_event() -> None:
    asked: list[str | None] = []
    progress = {"subject": "job_1", "data": {"progress": 40, "stage": "drawing"}}
    answers = [
        stream(
            Broken(
                frame("snapshot", job()),
                b": still here\n\n",
                frame("job.progress", progress, "evt_7"),
            )
        ),
        stream(frame("snapshot", done())),
    ]

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        assert request.url.path == "/v1/jobs/job_1/events"
        assert request.headers["authorization"] == "Bearer sk_key"
        return answers.pop(0)

    updates = await followed(client(answer), "job_1")

    assert asked == [None, "evt_7"]
    assert [update.rows[0].percent for update in updates] == [0, 40, 100]
    assert updates[-1].final == done()


async def test_follow_when_the_server_restarts_asks_again() -> None:
    answers = [
        httpx2.Response(503, json={"title": "Stopping", "status": 503}),
        stream(frame("snapshot", job())),
        stream(frame("snapshot", done())),
    ]
    updates = await followed(client(lambda _: answers.pop(0)), "job_1")
    assert updates[-1].final == done()


async def test_follow_when_a_batch_is_finished_ends() -> None:
    final = batch(done(), finished_at="2026-01-01T00:00:02Z")
    finished = {"subject": "bat_1", "data": {"batch": final}}
    content = frame("snapshot", batch(job())) + frame("batch.finished", finished, "evt_9")

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/v1/batches/bat_1/events"
        return stream(content)

    assert (await followed(client(answer), "bat_1"))[-1].final == final


async def test_follow_when_there_is_no_such_job_gives_up_at_once() -> None:
    problem = {"title": "Not found", "detail": "There is no such job.", "status": 404}
    with pytest.raises(Refused, match="no such job"):
        await followed(client(lambda _: httpx2.Response(404, json=problem)), "job_1")


async def test_submit_when_the_answer_is_lost_repeats_it_under_the_same_key() -> None:
    keys: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx2.ReadError("gone")
        return httpx2.Response(202, json=job())

    assert (await client(answer).generate({"prompt": "a lamp"}))["id"] == "job_1"
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_submit_when_nobody_listens_is_not_repeated() -> None:
    tries: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        tries.append(request)
        raise httpx2.ConnectError("All connection attempts failed")

    with pytest.raises(Unreachable, match=LOCAL):
        await client(answer).generate({"prompt": "a lamp"})
    assert len(tries) == 1


async def test_import_when_there_are_several_addresses_sends_a_batch() -> None:
    bodies: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        return httpx2.Response(202, json=job())

    await client(answer).import_images(["https://a.example/1"])
    await client(answer).import_images(["https://a.example/1", "https://a.example/2"])

    assert bodies == [
        {"url": "https://a.example/1"},
        {"urls": ["https://a.example/1", "https://a.example/2"]},
    ]


async def test_answer_when_it_is_no_problem_document_names_the_server() -> None:
    with pytest.raises(Failure, match="answered 502 Bad Gateway"):
        await client(lambda _: httpx2.Response(502, text="<html>")).jobs()


@pytest.mark.parametrize("subject", ["../account", "job_1/../x", "", "job 1", "jöb_1"])
async def test_get_when_the_id_is_none_asks_nobody(subject: str) -> None:
    with pytest.raises(BadUse):
        await client(lambda _: httpx2.Response(200, json=job())).get(subject)


async def test_download_when_the_server_calls_itself_otherwise_uses_the_known_way(
    tmp_path: Path,
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == f"{LOCAL}/files/images/job_1/abc.png"
        assert "authorization" not in request.headers
        return httpx2.Response(200, content=b"data")

    await client(answer).download(
        f"{BASE}/files/images/job_1/abc.png", tmp_path / "cat.png", public_base=BASE
    )

    assert (tmp_path / "cat.png").read_bytes() == b"data"


async def test_download_when_it_breaks_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "cat.png"
    target.write_text("old")

    with pytest.raises(Unreachable, match="gone"):
        await client(lambda _: httpx2.Response(200, stream=Broken(b"half"))).download(
            "https://cdn.example/cat.png", target, public_base=BASE
        )

    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["cat.png"]  # noqa: PTH208  blocks no more than reading does

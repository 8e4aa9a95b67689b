"""The downloader as a guest: hosts that ask for a pause get one, and none is asked too much."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from safelight.fetch.errors import FetchError, FetchPaused, FetchRefused
from tests.sites import Answer, fetcher_for, redirect, respond, running

BUSY = ["429 Slow Down", "503 Busy"]


def busy(status: str = "503 Busy", retry_after: str = "7") -> Answer:
    return respond(b"", status, Retry_After=retry_after)


# --- pauses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", BUSY)
async def test_download_when_the_host_asked_for_a_pause_then_is_not_even_tried(
    status: str, tmp_path: Path
) -> None:
    answers = {"/x": busy(status), "/y": respond()}
    async with running(answers) as site, fetcher_for(site) as fetcher:
        with pytest.raises(FetchError) as caught:
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
        assert type(caught.value) is FetchError
        for host in ("good.example", "GOOD.example."):
            with pytest.raises(FetchPaused) as paused:
                await fetcher.download(site.url("/y", host), to=tmp_path / "f")
            assert paused.value.retry_after is not None
            assert 6 < paused.value.retry_after.total_seconds() <= 7
        assert len(site.requests) == 1
        fetched = await fetcher.download(site.url("/y", "other.example"), to=tmp_path / "f")
    assert fetched.bytes > 0


@pytest.mark.parametrize(
    "answer",
    [respond(b"", "503 Busy"), busy(retry_after="0"), busy("500 Oh"), busy("404 Not Found")],
)
async def test_download_when_no_pause_was_asked_for_then_is_tried(
    answer: Answer, tmp_path: Path
) -> None:
    async with running({"/x": answer}) as site, fetcher_for(site) as fetcher:
        for _ in range(2):
            with pytest.raises(FetchError) as caught:
                await fetcher.download(site.url("/x"), to=tmp_path / "f")
            assert not isinstance(caught.value, FetchPaused)
    assert len(site.requests) == 2


async def test_download_when_the_longest_pause_is_over_then_is_tried(tmp_path: Path) -> None:
    async with (
        running({"/x": busy(retry_after="3600")}) as site,
        fetcher_for(site, max_pause_s=0.2) as fetcher,
    ):
        with pytest.raises(FetchError):
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
        with pytest.raises(FetchPaused) as paused:
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
        assert paused.value.retry_after is not None
        rest_s = paused.value.retry_after.total_seconds()
        assert rest_s <= 0.2
        site.answers["/x"] = respond()
        await asyncio.sleep(rest_s)
        fetched = await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert fetched.bytes > 0
    assert len(site.requests) == 2


async def test_download_when_redirected_to_a_paused_host_then_waits_its_turn(
    tmp_path: Path,
) -> None:
    answers = {"/busy": busy(), "/y": respond()}
    async with running(answers) as site, fetcher_for(site) as fetcher:
        answers["/x"] = redirect(site.url("/y", "busy.example"))
        with pytest.raises(FetchError):
            await fetcher.download(site.url("/busy", "busy.example"), to=tmp_path / "f")
        with pytest.raises(FetchPaused):
            await fetcher.download(site.url("/x"), to=tmp_path / "f")
    assert [request.split()[1] for request in site.requests] == ["/busy", "/x"]


async def test_download_when_it_stood_in_line_and_a_pause_was_asked_for_then_is_not_tried(
    tmp_path: Path,
) -> None:
    failures: list[type[BaseException]] = []

    async def slow(writer: asyncio.StreamWriter, path: str) -> None:
        await asyncio.sleep(0.1)
        await busy()(writer, path)

    async with running({"/x": slow}) as site, fetcher_for(site, per_host=1) as fetcher:

        async def download(number: int) -> None:
            try:
                await fetcher.download(site.url("/x"), to=tmp_path / f"{number}")
            except FetchError as error:
                failures.append(type(error))

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(download(number))
    assert Counter(failures) == {FetchError: 1, FetchPaused: 4}
    assert len(site.requests) == 1


# --- slots and redirects ----------------------------------------------------------------------


async def test_download_when_redirected_then_each_host_sees_its_limit(tmp_path: Path) -> None:
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    answers: dict[str, Answer] = {}

    def counting(then: Answer) -> Answer:
        async def answer(writer: asyncio.StreamWriter, path: str) -> None:
            now[path] += 1
            most[path] = max(most[path], now[path])
            await asyncio.sleep(0.02)
            now[path] -= 1
            await then(writer, path)

        return answer

    async with running(answers) as site, fetcher_for(site, per_host=3) as fetcher:
        there = site.url("/there", "second.example")
        answers |= {"/there": counting(respond(b"x"))}
        answers |= {f"/{number}": redirect(there) for number in range(12)}
        async with asyncio.TaskGroup() as group:
            for number in range(12):  # each from a host of its own, all to the same one
                url = site.url(f"/{number}", f"first-{number}.example")
                group.create_task(fetcher.download(url, to=tmp_path / f"{number}"))
    assert most["/there"] == 3


def chain(length: int) -> dict[str, Answer]:
    """Return answers of which each but `/0` redirects to the one before it."""
    hops: dict[str, Answer] = {f"/{left}": redirect(f"/{left - 1}") for left in range(1, length)}
    return {"/0": respond(), **hops}


async def test_download_when_redirected_five_times_then_arrives(tmp_path: Path) -> None:
    async with running(chain(7)) as site, fetcher_for(site) as fetcher:
        fetched = await fetcher.download(site.url("/5"), to=tmp_path / "f")
    assert fetched.final_url == site.url("/0")


async def test_download_when_redirected_once_more_then_stops(tmp_path: Path) -> None:
    async with running(chain(7)) as site, fetcher_for(site) as fetcher:
        with pytest.raises(FetchRefused):
            await fetcher.download(site.url("/6"), to=tmp_path / "f")
    assert len(site.requests) == 6


async def test_download_when_two_hosts_redirect_to_each_other_then_stops(tmp_path: Path) -> None:
    answers: dict[str, Answer] = {}
    async with running(answers) as site, fetcher_for(site, per_host=1) as fetcher:
        answers["/a"] = redirect(site.url("/b", "b.example"))
        answers["/b"] = redirect(site.url("/a", "a.example"))
        with pytest.raises(FetchRefused):
            await fetcher.download(site.url("/a", "a.example"), to=tmp_path / "f")
    assert len(site.requests) == 6


async def test_download_when_redirected_to_another_host_then_that_learns_nothing_of_the_first(
    tmp_path: Path,
) -> None:
    answers: dict[str, Answer] = {"/there": respond()}
    async with running(answers) as site, fetcher_for(site) as fetcher:
        answers["/x"] = respond(
            b"",
            "302 Found",
            Location=site.url("/there", "other.example"),
            Set_Cookie=f"a=b; Domain=example; Port={site.port}; Path=/",
            WWW_Authenticate="Basic realm=x",
        )
        await fetcher.download(site.url("/x?key=secret"), to=tmp_path / "f")
    second = site.requests[1].lower()
    assert second.startswith("get /there http/1.1\r\n")
    assert f"host: other.example:{site.port}\r\n" in second
    names = {line.partition(":")[0] for line in second.split("\r\n")[1:] if line}
    assert names == {"host", "user-agent", "accept", "accept-encoding"}
    assert "secret" not in second

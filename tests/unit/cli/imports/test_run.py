"""An import sends each chunk once, follows it, and goes on where another command stopped."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest

from safelight.cli.client import Client
from safelight.cli.failure import BadUse, Failure
from safelight.cli.imports.chunks import Chunks
from safelight.cli.imports.entries import Form, read_entries
from safelight.cli.imports.journal import Journal
from safelight.cli.imports.lines import as_text, read_lines
from safelight.cli.imports.patience import Patience
from safelight.cli.imports.report import COLUMNS, Report
from safelight.cli.imports.run import ImportRun, OpenChunks, Pace
from safelight.cli.imports.tally import Tally
from tests.unit.cli.documents import batch, done, job

PACE = Pace(batch_size=2, in_flight=2)
PROBLEM = {"title": "Refused", "code": "fetch_refused", "status": 502}
Spoil = Callable[[httpx2.Request], httpx2.Response | None]


@dataclass
class Server:
    """A server that imports all but what has `bad` in its address; `spoil` answers before it."""

    spoil: Spoil = lambda _: None
    made: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    sendings: list[str] = field(default_factory=list[str])
    bodies: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            return self._take(request)
        if (spoilt := self.spoil(request)) is not None:
            return spoilt
        return httpx2.Response(200, json=self._document(request.url.path.split("/")[-1]))

    def _take(self, request: httpx2.Request) -> httpx2.Response:
        """Keep what was sent, even where the answer to it is lost."""
        body, key = json.loads(request.content), request.headers["idempotency-key"]
        self.sendings.append(key)
        self.bodies.append(body)
        if (spoilt := self.spoil(request)) is not None:
            return spoilt
        name = self.keys.setdefault(key, f"bat_{len(self.keys)}")
        self.made[name] = body["urls"]
        return httpx2.Response(202, json=batch(*(job() for _ in body["urls"]), id=name))

    def _document(self, name: str) -> Any:
        jobs = [
            job(id="job_bad", status="failed", error=PROBLEM) if "bad" in str(url) else done()
            for url in self.made[name]
        ]
        return batch(*jobs, id=name, finished_at="2026-01-01T00:00:02Z")


class Desk:
    """A list, its journal and its report, in a folder that several commands use in turn."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.journal = folder / "journal"
        self.report = Report(folder / "failures.csv")
        self.server = server
        self.rests: list[float] = []
        self.notes: list[str] = []

    async def run(self, content: str, pace: Pace = PACE, tags: tuple[str, ...] = ()) -> Tally:
        lines = read_lines(as_text(BytesIO(content.encode())), threading.Event())
        chunks = Chunks(read_entries("urls.txt", lines, Form.TXT))
        with closing(Journal.open(self.journal, anew=False)) as journal:
            tally = Tally(0.0, counts_sent=not pace.waits)
            open_chunks = OpenChunks("urls.txt", chunks, journal, pace)
            first = open_chunks.take()
            tally.resume(journal.chunks.values())
            journal.begin("acc_1", tags)
            self.report = Report(self.report.path, journal.report_length)
            transport = httpx2.MockTransport(self.server.answer)
            async with Client("http://127.0.0.1:4000", "sk_key", transport=transport) as client:
                run = ImportRun(
                    client,
                    journal,
                    self.report,
                    tally,
                    Patience(self.notes.append, limit_s=60, sleep=self._rest, clock=self._now),
                    tags=tags,
                    sleep=self._rest,
                )
                await run.send_all(open_chunks, first, pace)
        return tally

    async def _rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        await asyncio.sleep(0)  # others have their turn

    def _now(self) -> float:
        return sum(self.rests)

    def failures(self) -> list[str]:
        """The lines of the list that failed, as the report has them."""
        rows = self.report.path.read_text().splitlines()
        assert rows[0].split(",") == list(COLUMNS)
        return sorted(row.split(",")[0] for row in rows[1:])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, Server())


def urls(count: int, *bad: int) -> str:
    return "".join(
        f"https://a.example/{'bad' if number in bad else 'good'}/{number}\n"
        for number in range(count)
    )


def failure_in(raised: "pytest.ExceptionInfo[BaseExceptionGroup[BaseException]]") -> Failure:
    (failure,) = raised.value.exceptions
    assert isinstance(failure, Failure)
    return failure


async def test_run_when_all_goes_well_counts_and_reports_what_failed(desk: Desk) -> None:
    tally = await desk.run(urls(5, 1, 4) + "nonsense\n")

    assert (tally.succeeded, tally.codes) == (3, {"fetch_refused": 2, "invalid_line": 1})
    assert desk.failures() == ["2", "5", "6"]
    assert "job_bad,fetch_refused,Refused" in desk.report.path.read_text()
    assert sorted(len(sent) for sent in desk.server.made.values()) == [1, 2, 2]


async def test_run_when_it_was_done_before_sends_nothing(desk: Desk) -> None:
    await desk.run(urls(5, 1))
    before = desk.report.path.read_bytes()

    tally = await desk.run(urls(5, 1))

    assert (tally.succeeded, tally.failed) == (4, 1)
    assert len(desk.server.sendings) == 3
    assert desk.report.path.read_bytes() == before


async def test_run_when_lines_were_added_sends_only_those(desk: Desk) -> None:
    await desk.run(urls(5))
    tally = await desk.run(urls(9), Pace(batch_size=100, in_flight=1))
    assert tally.succeeded == 9
    assert [len(sent) for sent in desk.server.made.values()] == [2, 2, 1, 4]


@pytest.mark.parametrize("changed", [urls(5, 3), urls(3), "https://a.example/new\n" + urls(5)])
async def test_run_when_the_list_was_changed_refuses_it(desk: Desk, changed: str) -> None:
    await desk.run(urls(5))
    with pytest.raises((BadUse, BaseExceptionGroup)) as raised:
        await desk.run(changed)
    failure = raised.value
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    assert "has changed between lines" in str(failure)
    assert "--restart" in str(failure)
    assert len(desk.server.sendings) == 3


async def test_run_when_killed_after_a_chunk_was_sent_makes_no_second_batch(desk: Desk) -> None:
    # The server takes it, and the command dies before it hears so.
    desk.server.spoil = lambda request: (
        httpx2.Response(401, json={"title": "No"}) if request.method == "GET" else None
    )
    with pytest.raises(BaseExceptionGroup):
        await desk.run(urls(5))
    lines = desk.journal.read_bytes().splitlines(keepends=True)
    desk.journal.write_bytes(b"".join(line for line in lines if b'"sent"' not in line)[:-3])
    desk.server.spoil = lambda _: None

    tally = await desk.run(urls(5), Pace(batch_size=2, in_flight=1))

    assert tally.succeeded == 5
    assert len(desk.server.made) == 3
    assert max(Counter(desk.server.sendings).values()) == 2


async def test_run_when_a_chunk_was_sent_and_not_followed_follows_it(desk: Desk) -> None:
    tally = await desk.run(urls(5), Pace(batch_size=2, in_flight=2, waits=False))
    assert (tally.sent, tally.ended) == (5, 0)
    again = await desk.run(urls(5), Pace(batch_size=2, in_flight=2, waits=False))
    assert (again.sent, len(desk.server.sendings)) == (5, 3)

    assert (await desk.run(urls(5))).succeeded == 5
    assert len(desk.server.sendings) == 3


async def test_run_when_a_report_was_half_written_has_each_failure_once(desk: Desk) -> None:
    await desk.run(urls(5, 0, 1, 2, 3, 4))
    lines = desk.journal.read_bytes().splitlines(keepends=True)
    desk.journal.write_bytes(b"".join(lines[:-1]))  # killed between the report and the journal

    await desk.run(urls(5, 0, 1, 2, 3, 4))

    assert desk.failures() == ["1", "2", "3", "4", "5"]


async def test_run_when_the_server_restarts_or_is_busy_waits_and_goes_on(desk: Desk) -> None:
    trouble = [
        httpx2.Response(503, json={"title": "Stopping"}, headers={"Retry-After": "7"}),
        httpx2.Response(429, json={"title": "Slow"}, headers={"Retry-After": "9999"}),
        httpx2.ConnectError("refused"),
        httpx2.ReadError("gone"),
    ]

    def spoil(_: httpx2.Request) -> httpx2.Response | None:
        found = trouble.pop() if trouble else None
        if isinstance(found, Exception):
            raise found
        return found

    desk.server.spoil = spoil
    tally = await desk.run(urls(4), Pace(batch_size=2, in_flight=1))

    assert tally.succeeded == 4
    assert len(desk.server.made) == 2
    assert 7 in desk.rests
    assert max(desk.rests) == 30
    assert desk.notes[-1] == "The server answers again."


async def test_run_when_the_server_stays_away_gives_up_in_bounded_time(desk: Desk) -> None:
    desk.server.spoil = lambda _: httpx2.Response(503, json={"title": "Full"})
    with pytest.raises(BaseExceptionGroup) as raised:
        await desk.run(urls(1))
    assert str(failure_in(raised)) == "Full"
    assert 60 < sum(desk.rests) < 120


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_run_when_the_first_chunk_is_refused_ends_at_once(desk: Desk, status: int) -> None:
    desk.server.spoil = lambda _: httpx2.Response(status, json={"title": "No"})
    with pytest.raises(BaseExceptionGroup) as raised:
        await desk.run(urls(9), Pace(batch_size=2, in_flight=1))
    assert failure_in(raised).exit_code == 2
    assert len(desk.server.sendings) == 1


async def test_run_when_a_later_chunk_is_refused_for_its_words_goes_on(desk: Desk) -> None:
    problem = {"title": "Too large", "code": "too_large"}

    def spoil(request: httpx2.Request) -> httpx2.Response | None:
        return httpx2.Response(413, json=problem) if b"/good/2" in request.content else None

    desk.server.spoil = spoil
    tally = await desk.run(urls(6), Pace(batch_size=2, in_flight=1))

    assert (tally.succeeded, tally.codes, tally.sent) == (4, {"too_large": 2}, 6)
    assert "Refused with lines 3 to 4: Too large" in desk.report.path.read_text()


async def test_run_when_the_server_lost_a_batch_reports_its_lines(desk: Desk) -> None:
    desk.server.spoil = lambda request: (
        httpx2.Response(404, json={"title": "Not found", "code": "not_found"})
        if request.url.path.endswith("bat_0")
        else None
    )
    tally = await desk.run(urls(4), Pace(batch_size=2, in_flight=1))
    assert (tally.succeeded, tally.codes) == (2, {"not_found": 2})


async def test_run_when_no_line_of_a_chunk_is_sound_sends_none_of_it(desk: Desk) -> None:
    tally = await desk.run("a\nb\n" + urls(1), Pace(batch_size=2, in_flight=1))
    assert (tally.succeeded, tally.codes) == (1, {"invalid_line": 2})
    assert len(desk.server.sendings) == 1


async def test_run_when_tags_are_given_sends_them_with_each_batch(desk: Desk) -> None:
    await desk.run(urls(3), tags=("x", "y"))
    assert {tuple(body["tags"]) for body in desk.server.bodies} == {("x", "y")}


async def test_run_when_a_batch_takes_long_looks_ever_more_seldom(desk: Desk) -> None:
    looks = [0]

    def spoil(request: httpx2.Request) -> httpx2.Response | None:
        looks[0] += request.method == "GET"
        slow = batch(job(), id="bat_0")
        return httpx2.Response(200, json=slow) if 0 < looks[0] < 12 else None

    desk.server.spoil = spoil
    await desk.run(urls(1))

    assert desk.rests[:3] == [1.0, 1.5, 2.25]
    assert desk.rests[-1] == 10.0


async def test_run_when_batches_wait_for_their_last_ones_sends_more_but_not_all(
    desk: Desk,
) -> None:
    straggling = batch(*(done() for _ in range(9)), job())

    def spoil(request: httpx2.Request) -> httpx2.Response | None:
        is_stuck = request.method == "GET" and len(desk.server.sendings) < 8
        return httpx2.Response(200, json=straggling) if is_stuck else None

    desk.server.spoil = spoil
    tally = await desk.run(urls(120), Pace(batch_size=10, in_flight=1))

    assert tally.succeeded == 120
    assert len(desk.server.sendings) == 12

"""`safelight import LIST` against a real server: reported, killed, interrupted and gone on with."""

import csv
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.acceptance.conftest import RunningServer, command, environment
from tests.acceptance.origin import Origin
from tests.servers import wait_until, wait_until_async

pytestmark = pytest.mark.slow

DEADLINE_S = 60
LINES = 60
MISSING, PAGES, MALFORMED = range(5, LINES, 20), range(11, LINES, 30), (33,)
FAILED = sorted(number + 2 for number in (*MISSING, *PAGES, *MALFORMED))


@pytest.fixture(scope="module")
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, origin: Origin) -> Iterator[RunningServer]:
    """A server that may download from this machine."""
    running = RunningServer(
        tmp_path / "data",
        {
            "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
            "SAFELIGHT_FETCH_PORTS": str(origin.port),
            "SAFELIGHT_RETRY_BASE_S": "0.05",
        },
    )
    running.start()
    yield running
    running.close()


@pytest.fixture
def listed(tmp_path: Path, origin: Origin) -> Path:
    """A table of addresses: most of them pictures, some missing, some pages, one malformed."""
    path = tmp_path / "urls.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["url", "external_id", "tags", "colour"])
        for number in range(LINES):
            rows.writerow([_address(origin, number), f"sku-{number}", f"all|t{number % 3}", "red"])
    return path


def _address(origin: Origin, number: int) -> str:
    if number in MISSING:
        return f"{origin.url}/missing-{number}.png"
    if number in PAGES:
        return f"{origin.url}/page.html"
    return "photo.jpg" if number in MALFORMED else f"{origin.url}/photo.jpg"


class Command:
    """`safelight import` on the machine where the server runs, in the folder of the list."""

    def __init__(self, data_dir: Path, listed: Path) -> None:
        self.variables = environment(data_dir)
        self.listed = listed
        self.notes = listed.with_name("notes")
        self.journal = listed.with_name(f"{listed.name}.safelight-import.jsonl")

    async def __call__(
        self, *words: str, piped: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """Run to the end, while this process sends pictures."""
        return await anyio.to_thread.run_sync(lambda: self._run(words, piped=piped))

    async def end_in_the_middle(self, how: signal.Signals, *words: str) -> int:
        """Run until a chunk has ended and others have not, and send a signal; the exit status."""

        def end() -> int:
            with self._started(words) as process:
                self.wait_for_a_chunk()
                assert self.journal.read_bytes().count(b'"sending"') < LINES
                process.send_signal(how)
                return process.wait(DEADLINE_S)

        return await anyio.to_thread.run_sync(end)

    async def beside(self, work: Callable[[], None], *words: str) -> int:
        """Run to the end, with `work` done once a chunk has ended; the exit status."""

        def run() -> int:
            with self._started(words) as process:
                self.wait_for_a_chunk()
                work()
                return process.wait(DEADLINE_S)

        return await anyio.to_thread.run_sync(run)

    def wait_for_a_chunk(self) -> None:
        def has_ended() -> bool:
            return self.journal.exists() and b'"finished"' in self.journal.read_bytes()

        wait_until(has_ended, DEADLINE_S)

    def _run(self, words: Sequence[str], *, piped: bool) -> "subprocess.CompletedProcess[str]":
        with (self.listed if piped else Path(os.devnull)).open("rb") as given:
            return subprocess.run(
                command("import", *words),
                check=False,
                capture_output=True,
                text=True,
                stdin=given,
                timeout=DEADLINE_S,
                cwd=self.listed.parent,
                env=self.variables,
            )

    def _started(self, words: Sequence[str]) -> "subprocess.Popen[bytes]":
        with self.notes.open("wb") as stderr:
            return subprocess.Popen(
                command("import", self.listed.name, *words),
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=self.listed.parent,
                env=self.variables,
            )

    def failures(self) -> list[dict[str, str]]:
        """The report of failures, in the order of the list."""
        report = self.listed.with_name(f"{self.listed.name}.failures.csv")
        with report.open(encoding="utf-8", newline="") as file:
            return sorted(csv.DictReader(file), key=lambda row: int(row["line"]))


@pytest.fixture
def run_import(server: RunningServer, listed: Path) -> Command:
    return Command(server.data_dir, listed)


async def jobs(server: RunningServer) -> list[dict[str, Any]]:
    async with server.client() as api:
        return (await api.get("/v1/jobs", params={"limit": 200})).json()["data"]


async def each_was_imported_once(server: RunningServer) -> None:
    """Every line but the malformed one became one job, with what the list said of it."""
    found = await jobs(server)
    assert Counter(job["external_id"] for job in found) == {
        f"sku-{number}": 1 for number in range(LINES) if number not in MALFORMED
    }
    done = [job for job in found if job["status"] == "succeeded"]
    assert len(done) == LINES - len(FAILED)
    for job in done:
        number = int(job["external_id"].removeprefix("sku-"))
        assert job["tags"] == ["all", f"t{number % 3}"]
        assert job["metadata"] == {"colour": "red"}
        (asset,) = job["outputs"]
        assert (asset["external_id"], asset["tags"]) == (job["external_id"], job["tags"])
    async with server.client() as api:
        assets = (await api.get("/v1/assets", params={"limit": 200})).json()["data"]
    assert len(assets) == len(done)


async def test_list_when_imported_is_whole_and_its_failures_are_reported(
    run_import: Command, server: RunningServer
) -> None:
    done = await run_import("urls.csv", "--batch-size", "25", "--json")

    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == f"safelight: {len(FAILED)} of 60 did not succeed."
    summary = json.loads(done.stdout)
    assert (summary["total"], summary["imported"]) == (LINES, LINES - len(FAILED))
    assert summary["codes"] == {"fetch_refused": 3, "media_unsupported": 2, "invalid_line": 1}
    rows = run_import.failures()
    assert [int(row["line"]) for row in rows] == FAILED
    assert [row["code"] for row in rows if not row["job_id"]] == ["invalid_line"]
    assert {row["tags"].split(";")[0] for row in rows if row["job_id"]} == {"all"}
    await each_was_imported_once(server)

    again = await run_import("urls.csv")
    assert again.returncode == 1
    assert "nothing is left to do" in again.stderr
    assert len(await jobs(server)) == LINES - len(MALFORMED)


async def test_list_when_its_command_is_killed_goes_on_without_doubles(
    run_import: Command, server: RunningServer
) -> None:
    for _ in range(2):
        words = ("--batch-size", "4", "--in-flight", "2")
        assert await run_import.end_in_the_middle(signal.SIGKILL, *words) == -signal.SIGKILL

    done = await run_import("urls.csv", "--batch-size", "30")

    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"{LINES - len(FAILED)} of 60 imported")
    assert [int(row["line"]) for row in run_import.failures()] == FAILED
    await each_was_imported_once(server)


async def test_list_when_interrupted_says_how_to_go_on_and_does(
    run_import: Command, server: RunningServer
) -> None:
    words = ("--batch-size", "2", "--in-flight", "1")
    assert await run_import.end_in_the_middle(signal.SIGINT, *words) == 130
    notes = run_import.notes.read_text()
    assert f"What was sent goes on at {server.url}." in notes
    assert notes.splitlines()[-1].endswith("Run the same command again to go on from there.")
    assert "Traceback" not in notes

    assert (await run_import("urls.csv")).returncode == 1
    await each_was_imported_once(server)


@pytest.mark.slow
async def test_list_when_the_server_restarts_in_the_middle_is_imported_all_the_same(
    run_import: Command, server: RunningServer
) -> None:
    # By its address: a command that looks for the server of a folder may find none there now.
    run_import.variables |= {"SAFELIGHT_URL": server.url, "SAFELIGHT_API_KEY": server.key}

    words = ("--batch-size", "10", "--in-flight", "1")
    assert await run_import.beside(server.restart, *words) == 1
    await each_was_imported_once(server)


@pytest.mark.slow
async def test_failures_when_imported_as_a_list_are_tried_again(
    run_import: Command, server: RunningServer, listed: Path
) -> None:
    await run_import("urls.csv")
    report = listed.with_name("urls.csv.failures.csv")
    mended = report.read_text().replace("/missing-5.png", "/photo.jpg")
    report.write_text(mended)

    done = await run_import("urls.csv.failures.csv", "--json")

    summary = json.loads(done.stdout)
    assert (summary["total"], summary["imported"]) == (len(FAILED), 1)
    (job,) = [job for job in await jobs(server) if job["status"] == "succeeded"][:1]
    assert job["external_id"] == "sku-5"
    assert (job["tags"], job["metadata"]) == (["all", "t2"], {"colour": "red"})


async def test_list_when_it_comes_by_a_pipe_and_nobody_waits_is_sent(
    run_import: Command, server: RunningServer
) -> None:
    done = await run_import("-", "--format", "csv", "--no-wait", "--tag", "piped", piped=True)

    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert done.stdout.startswith("60 sent")

    async def all_ended() -> bool:
        return all(job["finished_at"] for job in await jobs(server))

    await wait_until_async(all_ended, DEADLINE_S)
    assert {job["tags"][0] for job in await jobs(server)} == {"piped"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("urls.csv", "--url-column", "picture"), "no column 'picture'"),
        (("urls.csv", "--journal", "urls.csv"), "different files"),
        (("urls.csv", "--journal", "notes.txt"), "not of a journal"),
        (("urls.csv", "--failures", "notes.txt"), "--failures"),
        (("notes.txt", "--format", "xml"), "txt, csv or jsonl"),
        (("empty.txt",), "no address to import"),
        (("/dev/fd/0",), "through a pipe"),
        (("urls.csv", "urls.csv", "--restart"), "one list"),
        (("http://127.0.0.1:9/a.png", "--restart"), "one list"),
        (("urls.csv", "--output", "x.png"), "not an http or https address"),
    ],
)
async def test_list_when_it_makes_no_sense_is_refused_and_starts_nothing(
    listed: Path, words: tuple[str, ...], says: str
) -> None:
    notes, empty = listed.with_name("notes.txt"), listed.with_name("empty.txt")
    notes.write_text("not mine\n")
    empty.write_text("# nothing\n\n")
    before = _content(listed, notes)

    done = await Command(listed.with_name("data"), listed)(*words)

    assert done.returncode == 2, done.stderr
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert _content(listed, notes) == before
    assert not _exists(listed.with_name("data"))


def _content(*paths: Path) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def _exists(path: Path) -> bool:
    return path.exists()

"""Imports a list of any length: opens it and its journal, runs it, and tells how it went."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from safelight.cli import actions
from safelight.cli.actions import Manner
from safelight.cli.arguments import is_url
from safelight.cli.connect import Link, connected, has_server
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Failure, Interrupted
from safelight.cli.imports.chunks import Chunk, Chunks
from safelight.cli.imports.entries import URL_COLUMN, Form, form_of, read_entries
from safelight.cli.imports.journal import Journal
from safelight.cli.imports.lines import STANDARD_INPUT, open_list, read_lines
from safelight.cli.imports.meter import Meter, metered
from safelight.cli.imports.outcome import Failed
from safelight.cli.imports.patience import Patience
from safelight.cli.imports.report import Report
from safelight.cli.imports.run import ImportRun, OpenChunks, Pace
from safelight.cli.imports.summary import Summary
from safelight.cli.imports.tally import Tally
from safelight.cli.show import Screen
from safelight.cli.tags import all_tags

_SHOW_EVERY_S = 0.5
_BATCH_SIZE = 500
_IN_FLIGHT = 4
_STDIN_REPORT = "import.failures.csv"


@dataclass(frozen=True, slots=True)
class Options:
    """Options for a list; None if not given."""

    tags: tuple[str, ...] = ()
    form: str | None = None
    url_column: str | None = None
    encoding: str | None = None
    batch_size: int | None = None
    in_flight: int | None = None
    journal: str | None = None
    failures: str | None = None
    anew: bool = False

    @property
    def are_of_a_list(self) -> bool:
        """Whether one was typed that means nothing for single addresses."""
        return replace(self, tags=()) != Options()


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """The list to import, its format, and the files beside it."""

    name: str
    form: Form
    url_column: str
    encoding: str | None
    tags: tuple[str, ...]
    pace: Pace
    journal: Path | None
    failures: Path
    anew: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Opened:
    """A list and what is remembered of it. `first` is the next chunk to be done."""

    chunks: OpenChunks
    first: Chunk | None
    journal: Journal
    report: Report
    tally: Tally
    stopping: threading.Event


async def import_words(words: Sequence[str], manner: Manner, options: Options) -> None:
    """Import the addresses that were typed, or the list that was named."""
    options = replace(options, tags=tuple(all_tags(options.tags)))
    if len(words) == 1 and not is_url(words[0]) and manner.target is None:
        await import_list(order_of(words[0], manner, options))
        return
    if options.are_of_a_list:
        raise BadUse("These options are for one list of addresses, imported without --output.")
    await actions.import_images(words, manner, options.tags)


def order_of(name: str, manner: Manner, options: Options) -> ImportPlan:
    """Return the order for the list `name`; refuses one that would write over it."""
    is_file = name != STANDARD_INPUT
    if is_file and "://" in name:
        raise BadUse(f"{name} is not an http or https address.")
    if is_file and Path(name).exists() and not Path(name).is_file():
        raise BadUse(f"{name} is no plain file; what comes through a pipe is named -.")
    journal = options.journal or (f"{name}.safelight-import.jsonl" if is_file else None)
    failures = options.failures or (f"{name}.failures.csv" if is_file else _STDIN_REPORT)
    paths = [Path(path).resolve() for path in (name, journal, failures) if path]
    if len(set(paths)) < len(paths):
        raise BadUse("The list, --journal and --failures must be different files.")
    return ImportPlan(
        name,
        form_of(name, options.form),
        options.url_column or URL_COLUMN,
        options.encoding,
        options.tags,
        Pace(options.batch_size or _BATCH_SIZE, options.in_flight or _IN_FLIGHT, manner.waits),
        Path(journal) if journal else None,
        Path(failures),
        options.anew,
        manner.as_json,
    )


async def import_list(order: ImportPlan) -> None:
    """Import the list, or what is left of it."""
    settings = read_settings()
    if not order.pace.waits and not has_server(settings):
        raise BadUse("--no-wait needs a server to do the work: start one with `safelight serve`.")
    screen = Screen()
    async with _opened(order) as opened:
        shown: list[Failed] = []
        if opened.first is None:
            screen.note(f"{order.name}: nothing is left to do; --restart begins anew.")
        else:
            async with connected(settings, works=True, note=screen.note) as link:
                shown = await _run(order, opened, link, screen)
    summary = Summary(order.name, opened.tally, opened.report, time.monotonic(), tuple(shown))
    if order.as_json:
        screen.document(summary.document())
    else:
        summary.tell(screen)
    summary.fail_unless_all_succeeded()


@asynccontextmanager
async def _opened(order: ImportPlan) -> AsyncGenerator[_Opened]:
    """Yield the list and its journal. Threads read both, and stop when the command does."""
    stopping = threading.Event()
    with ExitStack() as files:
        try:
            yield await asyncio.to_thread(_open, order, files, stopping)
        finally:
            stopping.set()


def _open(order: ImportPlan, files: ExitStack, stopping: threading.Event) -> _Opened:
    file = files.enter_context(open_list(order.name, stopping, order.encoding))
    lines = read_lines(file, stopping)
    chunks = Chunks(read_entries(order.name, lines, order.form, order.url_column))
    if chunks.is_empty:
        raise BadUse(f"{order.name}: there is no address to import.")
    journal = Journal.open(order.journal, anew=order.anew) if order.journal else Journal()
    files.enter_context(closing(journal))
    open_chunks = OpenChunks(order.name, chunks, journal, order.pace)
    first = open_chunks.take()
    tally = Tally(time.monotonic(), counts_sent=not order.pace.waits)
    tally.resume(journal.chunks.values())
    return _Opened(
        open_chunks, first, journal, Report(order.failures, journal.report_length), tally, stopping
    )


async def _run(order: ImportPlan, opened: _Opened, link: Link, screen: Screen) -> list[Failed]:
    """Do what is left, and return some of the failures."""
    tally, patience = opened.tally, Patience(screen.note)
    opened.journal.begin((await link.client.account())["id"], order.tags)
    run = ImportRun(link.client, opened.journal, opened.report, tally, patience, tags=order.tags)
    try:
        with metered(screen, order.name) as meter:
            async with _beside(order, opened, meter):
                await run.send_all(opened.chunks, opened.first, order.pace)
    except BaseExceptionGroup as group:
        screen.note(_how_to_go_on(order, tally))
        raise _first_of(group) from None
    except asyncio.CancelledError:
        where = "when Safelight runs next" if link.is_own else f"at {link.client.url}"
        screen.note(f"Interrupted. What was sent goes on {where}.")
        raise Interrupted(_how_to_go_on(order, tally)) from None
    return run.shown


@asynccontextmanager
async def _beside(order: ImportPlan, opened: _Opened, meter: Meter) -> AsyncGenerator[None]:
    """Count the list and keep the meter moving while the context lasts."""

    async def count() -> None:
        if order.name != STANDARD_INPUT:
            opened.tally.total = await asyncio.to_thread(_length, order, opened.stopping)

    async def show() -> None:
        while True:
            meter.show(opened.tally)
            await asyncio.sleep(_SHOW_EVERY_S)

    async with asyncio.TaskGroup() as group:
        sides = [group.create_task(count()), group.create_task(show())]
        yield
        for side in sides:
            side.cancel()
        meter.show(opened.tally)


def _length(order: ImportPlan, stopping: threading.Event) -> int:
    """Return how many entries the list has."""
    with open_list(order.name, stopping, order.encoding) as file:
        lines = read_lines(file, stopping)
        return sum(1 for _ in read_entries(order.name, lines, order.form, order.url_column))


def _how_to_go_on(order: ImportPlan, tally: Tally) -> str:
    of = f" of {tally.total:,}" if tally.total is not None else ""
    done = f"{tally.done:,}{of} {'sent' if tally.counts_sent else 'done'}"
    if order.journal:
        return f"{done}. Run the same command again to go on from there."
    return f"{done}. Nothing remembers where it stopped: give --journal FILE next time."


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one of the failures, as a command says one: what nobody expected goes first."""
    failures, others = group.split(Failure)
    error: BaseException = others or failures or group
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error

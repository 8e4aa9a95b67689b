"""Runs the import of a list: sends its chunks, follows their batches, and notes how each ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from safelight.cli.client import Client
from safelight.cli.failure import BadUse, Refused
from safelight.cli.imports.chunks import Chunk, Chunks
from safelight.cli.imports.journal import ItemOutcome, Journal
from safelight.cli.imports.outcome import Failed, codes_of, failures_of, refused
from safelight.cli.imports.patience import Patience
from safelight.cli.imports.report import Report
from safelight.cli.imports.tally import Tally
from safelight.documents import Batch

_FIRST_REST_S = 1.0
_MOST_REST_S = 10.0
_COST_SHARE = 20  # a look at a batch takes at most a twentieth of the time
_MOST_SHOWN = 5
_NEARLY = 0.9  # a batch that waits for its last few, on slow hosts, holds nobody up
_MOST_STRAGGLING = 8  # times as many are followed as are in flight
_OF_ITS_WORDS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is sent at once, and whether its end is waited for."""

    batch_size: int
    in_flight: int
    waits: bool = True


class OpenChunks:
    """The chunks of a list that have yet to end, held against what the journal knows of them."""

    def __init__(self, name: str, chunks: Chunks, journal: Journal, pace: Pace) -> None:
        self._name = name
        self._chunks = chunks
        self._journal = journal
        self._pace = pace
        self._number = 0

    def take(self) -> Chunk | None:
        """Return the next one; raises when the list is not the one that was begun with."""
        while True:
            noted = self._journal.chunks.get(self._number)
            chunk = self._chunks.take(noted.size if noted else self._pace.batch_size)
            if noted is None:
                self._number += 1
                return chunk
            if chunk is None or chunk.mark() != noted.mark:
                raise BadUse(
                    f"{self._name} has changed between lines {noted.lines[0]} and "
                    f"{noted.lines[1]}, which were sent already. Put them back (lines may be "
                    "added at the end), or begin anew with --restart."
                )
            self._number += 1
            if not noted.outcome and (self._pace.waits or not noted.batch_id):
                return chunk


class ImportRun:
    """One run over a list. `shown` keeps the first failures, for the end."""

    def __init__(
        self,
        client: Client,
        journal: Journal,
        report: Report,
        tally: Tally,
        patience: Patience,
        *,
        tags: Sequence[str] = (),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.shown: list[Failed] = []
        self._client = client
        self._journal = journal
        self._report = report
        self._tally = tally
        self._patience = patience
        self._tags = tags
        self._sleep = sleep
        self._was_accepted = any(noted.batch_id for noted in journal.chunks.values())

    async def send_all(self, chunks: OpenChunks, first: Chunk | None, pace: Pace) -> None:
        """Send every open chunk, so many at once, and follow each to its end if asked to wait."""
        places = _Places(pace.in_flight)
        async with asyncio.TaskGroup() as group:
            chunk = first
            while chunk:
                place = await places.take()
                one = group.create_task(self._do(chunk, place, waits=pace.waits))
                one.add_done_callback(place.leave)
                chunk = await asyncio.to_thread(chunks.take)

    async def _do(self, chunk: Chunk, place: "_Place", *, waits: bool) -> None:
        try:
            batch = await self._sent(chunk)
            if batch is None or waits:
                ended = await self._follow(chunk, batch, place) if batch else None
                self._settle(chunk, failures_of(chunk, ended))
        except Refused as refusal:
            if not self._journal.chunks[chunk.number].batch_id:
                self._tally.send(len(chunk.entries))
            self._settle(chunk, refused(chunk, refusal.code, self._reason(chunk, refusal)))

    async def _sent(self, chunk: Chunk) -> Batch | None:
        """Return the batch that the chunk is, sent now if it was not; None if none of it can be."""
        noted = self._journal.chunks.get(chunk.number)
        if noted and noted.batch_id:
            return await self._look(noted.batch_id)
        if noted is None:
            self._journal.sending(chunk)
        if not chunk.sound:
            self._tally.send(len(chunk.entries))
            return None
        body = chunk.body(self._tags)
        key = chunk.key(self._journal.run_id, body)
        batch = await self._patience.call(lambda: self._client.import_chunk(body, key))
        self._was_accepted = True
        self._journal.sent(chunk.number, batch["id"])
        self._tally.send(len(chunk.entries))
        return batch

    async def _look(self, batch_id: str) -> Batch:
        return await self._patience.call(lambda: self._client.batch(batch_id))

    async def _follow(self, chunk: Chunk, batch: Batch, place: "_Place") -> Batch:
        """Return the batch when it has ended; a look at it is dear, so that it is seldom taken."""
        rest_s, seen, cost_s = _FIRST_REST_S, -1, 0.0
        while not batch["finished_at"]:
            counts = batch["counts"]
            failed = counts["failed"] + counts["canceled"]
            self._tally.follow(chunk.number, counts["succeeded"], failed)
            moved = counts["succeeded"] + failed != seen
            seen = counts["succeeded"] + failed
            if seen >= counts["total"] * _NEARLY:
                place.free()
            rest_s = _FIRST_REST_S if moved else rest_s * 1.5
            await self._sleep(min(max(rest_s, cost_s * _COST_SHARE), _MOST_REST_S))
            began = time.monotonic()
            batch = await self._look(batch["id"])
            cost_s = time.monotonic() - began
        return batch

    def _reason(self, chunk: Chunk, refusal: Refused) -> str:
        """Return why the server refused the whole chunk; raise where it would refuse all others."""
        first, last = chunk.lines
        if refusal.status == HTTPStatus.NOT_FOUND and self._journal.chunks[chunk.number].batch_id:
            return "The server no longer knows the batch that it was sent in."
        if refusal.status in _OF_ITS_WORDS and self._was_accepted:
            return f"Refused with lines {first} to {last}: {refusal}"
        raise refusal

    def _settle(self, chunk: Chunk, failures: Sequence[Failed]) -> None:
        """Write what failed and then that the chunk ended, with nothing of another in between."""
        self._report.add([failed.row() for failed in failures])
        succeeded, codes = len(chunk.entries) - len(failures), codes_of(failures)
        self._journal.finished(chunk.number, ItemOutcome(succeeded, codes, self._report.length))
        self._tally.finish(chunk.number, succeeded, codes)
        self.shown += failures[: max(0, _MOST_SHOWN - len(self.shown))]


class _Places:
    """Room for batches in flight, and more of it for those that wait for their last few."""

    def __init__(self, in_flight: int) -> None:
        self.in_flight = asyncio.Semaphore(in_flight)
        self.followed = asyncio.Semaphore(in_flight * _MOST_STRAGGLING)

    async def take(self) -> "_Place":
        """Return a place once there is room."""
        await self.followed.acquire()
        await self.in_flight.acquire()
        return _Place(self)


class _Place:
    """The room of one batch, given back in two steps."""

    def __init__(self, places: _Places) -> None:
        self._places = places
        self._is_free = False

    def free(self) -> None:
        """Let the next batch be sent: this one is nearly done."""
        if not self._is_free:
            self._is_free = True
            self._places.in_flight.release()

    def leave(self, _: object) -> None:
        """Give back all of it: the batch is no longer followed."""
        self.free()
        self._places.followed.release()

"""Server-sent events: a snapshot first, then each event once, until the subject is final.

The rules of a stream, for any subject:
- it opens with what was missed since Last-Event-ID, then a snapshot of the present;
- after the snapshot, events come by their `seq`, so that none is lost or doubled, however late
  its transaction commits;
- it ends within seconds when its caller's credential does;
- it ends when its subject is final. A client that resumes after that gets status 204, the only
  end after which EventSource does not reconnect;
- a comment is sent when nothing else was for a while, so that proxies and clients can tell silence
  from a dead connection.

Wire format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import orjson

from safelight.accounts.account import Caller
from safelight.events import Event
from safelight.web.watch import Watch

HEARTBEAT = timedelta(seconds=15)
FINAL_ID = "final"  # the id of the snapshot of a final subject, after which nothing comes
_STILL_HERE = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The present: a document, the newest `seq` of each subject in it, and whether all is final."""

    document: Mapping[str, Any]
    heads: Mapping[str, int]
    final: bool


@dataclass(frozen=True, slots=True)
class Told:
    """One event as sent; a viewer that reconnects with `id` gets the events after it."""

    type: str
    document: Mapping[str, Any]
    id: str


class Feed(Protocol):
    """A source of events."""

    subject: str

    async def snapshot(self) -> Snapshot: ...

    async def missed(self, last_event_id: str) -> Sequence[Event]:
        """Return the events after that one, oldest first."""
        ...

    async def news(self, heads: Mapping[str, int]) -> tuple[Sequence[Event], bool]:
        """Return the events beyond `heads`, oldest first, and whether all is final after them."""
        ...

    async def tell(self, events: Sequence[Event]) -> Sequence[Told]:
        """Return the events to send, oldest first; several may be merged into one."""
        ...


async def is_over(feed: Feed, last_event_id: str) -> bool:
    """Return whether the subject is final and nothing comes after that event."""
    return (await feed.snapshot()).final and not await feed.missed(last_event_id)


async def follow(
    feed: Feed,
    watch: Watch,
    caller: Caller,
    *,
    last_event_id: str | None,
    stopping: asyncio.Event,
) -> AsyncIterator[bytes]:
    """Yield the stream's bytes; ends early when `stopping` is set or `caller` may not stay."""
    with watch.follow(feed.subject, caller) as viewer:
        snapshot = await feed.snapshot()
        if last_event_id:
            missed = [
                event
                for event in await feed.missed(last_event_id)
                if event.seq <= snapshot.heads.get(event.subject, 0)
            ]
            for told in await feed.tell(missed):
                yield frame(told.type, told.document, told.id)
        yield frame("snapshot", snapshot.document, FINAL_ID if snapshot.final else None)
        heads = dict(snapshot.heads)
        final = snapshot.final
        while not final and not stopping.is_set():
            viewer.mark = sum(heads.values())
            if not await viewer.wait(HEARTBEAT):
                yield _STILL_HERE
                continue
            if not viewer.may_stay:
                return
            events, final = await feed.news(heads)
            for told in await feed.tell(events):
                yield frame(told.type, told.document, told.id)
            heads |= {event.subject: event.seq for event in events}
            if not events:  # woken for nothing, perhaps again and again
                yield _STILL_HERE


def frame(event: str, data: Mapping[str, Any], event_id: str | None = None) -> bytes:
    """Encode one event. JSON escapes line breaks, so `data` is a single line."""
    head = f"id: {event_id}\n" if event_id else ""
    body = orjson.dumps(data, option=orjson.OPT_UTC_Z).decode()
    return f"{head}event: {event}\ndata: {body}\n\n".encode()

"""Server-sent events of a response, parsed by httpx2's `EventSource`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx2


async def events(
    response: httpx2.Response, max_bytes: int
) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
    """Yield each event that has data; raise `httpx2.SSEError` for one over `max_bytes`.

    A last event without its closing blank line still counts, since its data may be paid for.
    """
    async with aclosing(_closed(response)) as content:
        source = httpx2.Response(
            response.status_code,
            headers={"Content-Type": "text/event-stream"},
            content=content,
            request=response.request,
            default_encoding="utf-8-sig",  # skips a byte order mark
        )
        async for event in httpx2.EventSource(source, max_event_size=max_bytes):
            if event.data:
                yield event


async def _closed(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body and the blank line that `EventSource` needs to emit the last event."""
    async for part in response.aiter_bytes():
        yield part
    yield b"\n\n"

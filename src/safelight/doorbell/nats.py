"""Rings over NATS: a JetStream stream that keeps the last ring of each topic for a minute.

Consumers do not acknowledge: a ring is delivered at most once, so none blocks the others.
"""

# pyright: reportUnknownMemberType=false
# Some of the library's parameters have no types.

import asyncio
from base64 import b32encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, ServiceUnavailableError

from safelight.doorbell import message
from safelight.doorbell.ears import Ears
from safelight.doorbell.errors import DoorbellSilent
from safelight.doorbell.wire import DEADLINE_S, Rhythm, closing

_STREAM = StreamConfig(
    name="safelight",
    subjects=["safelight.>"],
    storage=StorageType.MEMORY,
    discard=DiscardPolicy.OLD,
    max_msgs_per_subject=1,
    max_msgs=100_000,
    max_bytes=64_000_000,
    max_age=60,
    duplicate_window=60,
)
_MOST_BYTES = 4_000
_PING_EVERY_S = 3


class NatsLine:
    """One connection with an ephemeral consumer."""

    def __init__(self, client: Client, ears: Ears) -> None:
        self._client = client
        self._ears = ears
        self._ended = asyncio.Event()
        self._consumer: JetStreamContext.PushSubscription | None = None

    async def open(self, servers: list[str]) -> None:
        """Connect, ensure the stream exists, and consume new rings."""
        await self._client.connect(
            servers,
            name="safelight doorbell",
            allow_reconnect=False,  # the relay must learn of a loss, because rings were missed
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=2,
            ping_interval=_PING_EVERY_S,
            max_outstanding_pings=1,
            error_cb=_quiet,
            closed_cb=self._closed,
        )
        stream = self._client.jetstream(timeout=DEADLINE_S)
        try:
            await _make_stream(stream)
        except ServiceUnavailableError as error:
            raise DoorbellSilent(
                "NATS answers, but its JetStream is not enabled or has no leader."
            ) from error
        self._consumer = await stream.subscribe(
            "safelight.>",
            stream=_STREAM.name,
            cb=self._delivered,
            config=ConsumerConfig(
                ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.NEW, mem_storage=True
            ),
        )

    async def _delivered(self, received: Msg) -> None:
        self._ears.hear(received.data)

    async def _closed(self) -> None:
        self._ended.set()

    async def send(self, topics: Sequence[str]) -> None:
        for topic in topics:
            for text in message.write(self._ears.id, [topic], _MOST_BYTES):
                await self._client.publish(_subject(topic), text.encode())
        await self._client.flush(int(DEADLINE_S))

    async def probe(self) -> None:
        if self._consumer is not None:
            await self._consumer.consumer_info()  # it or the stream may have been deleted

    async def hear(self) -> NoReturn:
        await self._ended.wait()
        raise ConnectionError("the connection was closed")

    async def check(self) -> None:
        """Do nothing: a working consumer receives every ring."""


class NatsWire:
    """Connections to the server at `url`, or to one of several, separated by commas.

    The library uses TLS if the server requires it, whatever the scheme.
    """

    name = "nats"
    rhythm = Rhythm()

    def __init__(self, url: str) -> None:
        self._servers = url.split(",")

    @asynccontextmanager
    async def connect(self, ears: Ears) -> AsyncGenerator[NatsLine]:
        client = Client()
        try:
            line = NatsLine(client, ears)
            await line.open(self._servers)
            yield line
        finally:
            async with closing():
                await client.close()


async def _make_stream(stream: JetStreamContext) -> None:
    try:
        await stream.add_stream(_STREAM)
    except BadRequestError:  # it exists with the settings of another version
        await stream.update_stream(_STREAM)


async def _quiet(_error: Exception) -> None:
    """Ignore the error: relevant ones also close the connection."""


def _subject(topic: str) -> str:
    """Return a NATS subject for `topic`, encoded without reserved characters."""
    return f"safelight.{b32encode(topic.encode()).decode().rstrip('=')}"

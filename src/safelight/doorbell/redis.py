"""Rings over Redis or Valkey: publish and subscribe on one channel."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# Some of the library's parameters have no types.

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from safelight.doorbell import message
from safelight.doorbell.ears import Ears
from safelight.doorbell.wire import DEADLINE_S, Rhythm, closing, obey_cancel

_CHANNEL = "safelight"
_MOST_BYTES = 64_000
_SILENCE_S = 10.0  # probes elicit replies on the subscribed connection too


class RedisLine:
    """One connection to subscribe, and another to publish."""

    def __init__(self, client: Redis, pubsub: PubSub, ears: Ears) -> None:
        self._client = client
        self._pubsub = pubsub
        self._ears = ears

    async def open(self) -> None:
        """Subscribe, and wait for the server's confirmation."""
        await self._pubsub.subscribe(_CHANNEL)
        while (await self._next())["type"] != "subscribe":
            pass
        await self._client.execute_command("PING")

    async def send(self, topics: Sequence[str]) -> None:
        for text in message.write(self._ears.id, topics, _MOST_BYTES):
            await self._client.publish(_CHANNEL, text)

    async def probe(self) -> None:
        await self._client.execute_command("PING")
        await self._pubsub.ping()

    async def hear(self) -> NoReturn:
        while True:
            obey_cancel()
            received = await self._next()
            if received["type"] == "message":
                self._ears.hear(received["data"])

    async def check(self) -> None:
        """Do nothing: a working subscription carries every ring."""

    async def _next(self) -> Mapping[str, Any]:
        async with asyncio.timeout(_SILENCE_S):
            while not (received := await self._pubsub.get_message(timeout=None)):
                pass
            return received


class RedisWire:
    """Connections to the server at `url`."""

    name = "redis"
    rhythm = Rhythm()

    def __init__(self, url: str) -> None:
        self._url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url

    @asynccontextmanager
    async def connect(self, ears: Ears) -> AsyncGenerator[RedisLine]:
        # No retries in the library: the relay must learn of each loss, because rings were missed.
        client = Redis.from_url(
            self._url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,  # the library's timeouts swallow cancellations
            socket_connect_timeout=DEADLINE_S,
        )
        pubsub = client.pubsub()
        try:
            line = RedisLine(client, pubsub, ears)
            await line.open()
            yield line
        finally:
            async with closing():
                await pubsub.aclose()
                await client.aclose()

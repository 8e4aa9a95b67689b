"""Opens the doorbell for a URL."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from safelight.doorbell.doorbell import Doorbell
from safelight.doorbell.memory import MemoryDoorbell
from safelight.doorbell.relay import open_relay
from safelight.doorbell.wire import Wire
from safelight.errors import SettingInvalid
from safelight.extras import how_to_install

_KNOWN = "memory:, postgresql:, redis:, rediss:, valkey:, valkeys:, nats:, tls: or sqs:"


@asynccontextmanager
async def open_doorbell(url: str) -> AsyncGenerator[Doorbell]:
    """Open the doorbell at `url`, whether or not its server is up.

    Raises `SettingInvalid` for an unknown scheme, an incomplete URL or a missing library.
    """
    if url in ("", "memory:", "memory://"):
        yield MemoryDoorbell()
        return
    try:
        wire = _wire(url)
    except ValueError as error:
        raise SettingInvalid(f"SAFELIGHT_DOORBELL_URL: {error}") from None
    async with open_relay(wire) as relay:
        yield relay


def _wire(url: str) -> Wire:
    """Import only the plug for this URL: the others' libraries may be missing."""
    scheme = url.partition(":")[0]
    extra = ""
    try:
        match scheme:
            case "postgresql" | "postgres" | "postgresql+asyncpg":
                from safelight.doorbell.postgres import PostgresWire  # noqa: PLC0415

                return PostgresWire(url)
            case "redis" | "rediss" | "valkey" | "valkeys":
                extra = "redis"
                from safelight.doorbell.redis import RedisWire  # noqa: PLC0415

                return RedisWire(url)
            case "nats" | "tls":
                extra = "nats"
                from safelight.doorbell.nats import NatsWire  # noqa: PLC0415

                return NatsWire(url)
            case "sqs":
                extra = "sqs"
                from safelight.doorbell.sqs import SqsWire  # noqa: PLC0415

                return SqsWire(url)
            case _:
                # Only the scheme: the rest may contain a password.
                raise ValueError(f"The doorbell URL must start with {_KNOWN}, not {scheme!r}.")
    except ModuleNotFoundError as error:
        if not extra:
            raise
        raise SettingInvalid(
            f"SAFELIGHT_DOORBELL_URL={scheme}://… needs the extra `{extra}`: "
            f"{how_to_install(extra)}"
        ) from error

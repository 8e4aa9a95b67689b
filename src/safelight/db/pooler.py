"""Recognizes a connection pooler in transaction mode, such as pgbouncer, before anything is done.

Such a pooler gives each transaction another session: LISTEN, prepared statements and session
settings are lost or leak into others, which shows as countless unrelated errors.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

from safelight.db.address import PostgresAddress, is_postgres, postgres_address
from safelight.errors import SettingInvalid

_TRIES = 3  # a busy pooler may give the second client another session
_DEADLINE_S = 5.0


async def refuse_transaction_pooling(url: str, setting: str) -> None:
    """Raise `SettingInvalid` if the server at `url` shares sessions between its clients.

    An unreachable server is left to the first transaction to report.
    """
    if not is_postgres(url):
        return
    address = postgres_address(url)
    for _ in range(_TRIES):
        try:
            shared = await _shares_sessions(address)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return
        if shared:
            raise SettingInvalid(
                f"{setting} leads to a connection pooler in transaction mode, where LISTEN and "
                "prepared statements do not work: use its session mode, or PostgreSQL directly."
            )


async def _shares_sessions(address: PostgresAddress) -> bool:
    """Return whether one client sees a setting that another one made for its own session."""
    mark = secrets.token_hex(8)
    async with _connected(address) as one, _connected(address) as other:
        await one.execute(f"SET safelight.mark = '{mark}'")
        # Simple queries: a pooler may not know prepared statements.
        sees = f"current_setting('safelight.mark', true) = '{mark}'"
        try:
            await other.execute(f"SELECT 1 / CASE WHEN {sees} THEN 0 ELSE 1 END")
        except asyncpg.DivisionByZeroError:
            return True
    return False


@asynccontextmanager
async def _connected(address: PostgresAddress) -> AsyncGenerator[asyncpg.Connection]:
    timeout_s = address.timeout_s or _DEADLINE_S
    connection = await asyncpg.connect(address.dsn, timeout=timeout_s, command_timeout=_DEADLINE_S)
    try:
        yield connection
    finally:
        connection.terminate()

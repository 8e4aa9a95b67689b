"""Encrypts the secrets in the database with the first key."""

from safelight.app import open_offline
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Failure
from safelight.cli.show import Screen
from safelight.db import sealed
from safelight.errors import SafelightError

_AT_ONCE = 200  # rows of one transaction


async def rotate() -> None:
    """Encrypt what is not yet under the first key, in bounded steps; a server may be running."""
    settings = read_settings()
    if not settings.encryption_key.get_secret_value():
        raise BadUse(
            "SAFELIGHT_ENCRYPTION_KEY is not set. `openssl rand -base64 32` makes a key; every "
            "process of the installation needs it."
        )
    count = 0
    try:
        async with open_offline(settings) as kept:
            for table in sealed.SEALED:
                while done := await kept.database.write(
                    lambda tx, table=table: sealed.reseal(tx, table, limit=_AT_ONCE)
                ):
                    count += done
    except SafelightError as error:
        raise Failure(error.detail) from None
    Screen().result(f"{count} secrets were encrypted with the first key; all are now.")

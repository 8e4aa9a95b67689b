"""Derives signing keys from the installation's secret."""

from safelight.accounts import secrets, signing
from safelight.db.engine import Database

_NAME = "signing"


class Signatures:
    """The keys that sign URLs. The secret is read once per process."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._secret: bytes | None = None

    async def key_of(self, account_id: str) -> str:
        """Return the account's signing key; stable across processes and time."""
        return signing.signing_key(await self._known(), account_id)

    async def callback_key(self) -> str:
        """Return the key that signs callback URLs; not available to accounts."""
        return signing.signing_key(await self._known(), "callbacks")

    async def files_key(self) -> str:
        """Return the key that signs URLs of private files; not available to accounts."""
        return signing.signing_key(await self._known(), "files")

    async def _known(self) -> bytes:
        if self._secret is None:
            found = await self._db.read(lambda tx: secrets.find(tx, _NAME))
            self._secret = found or await self._db.write(lambda tx: secrets.ensure(tx, _NAME))
        return self._secret

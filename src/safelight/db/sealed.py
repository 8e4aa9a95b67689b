"""Secrets in rows: encrypted with the installation's keys, if it has any.

A sealed value is `sealed:1:KEY:DATA`: KEY is the fingerprint of the key, DATA is base64 of nonce
and AES-256-GCM ciphertext. It authenticates table and row, so that no value opens in another row.
Values stored before there was a key stay readable, and `reseal` encrypts them.
"""

import base64
import hashlib
import secrets as system
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import Column, ColumnElement, Connection, Table

from safelight.db.tables import contacts, endpoints, secrets, users
from safelight.errors import ServiceError

if TYPE_CHECKING:  # 7 MB, of no use to a process without keys
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
OPTION = "safelight_seal"
_MARK = b"sealed:1:"
_NONCE_BYTES = 12

SEALED: Mapping[Table, tuple[str, ...]] = {
    endpoints: ("secret", "old_secret"),
    contacts: ("code", "token"),
    secrets: ("value",),
    users: ("totp_secret",),
}
"""The columns with secrets that must be readable; others are stored as hashes."""


class SecretUnreadable(ServiceError):
    """A stored secret is encrypted with a key that this process does not have, or is damaged."""

    code = "secret_unreadable"
    title = "A stored secret cannot be decrypted"


class Seal:
    """AES-256 keys of 32 bytes: the first encrypts, all decrypt. Without any, values stay as is."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._ciphers = {_fingerprint(key): _cipher(key) for key in keys}
        self.current = b"%b%b:" % (_MARK, next(iter(self._ciphers), b""))
        """The beginning of all values that the first key encrypted."""

    def __bool__(self) -> bool:
        return bool(self._ciphers)

    def close(self, plain: bytes, place: str) -> bytes:
        """Return a value encrypted for `place`, a table and row."""
        if not self._ciphers:
            return plain
        nonce = system.token_bytes(_NONCE_BYTES)
        cipher = next(iter(self._ciphers.values()))
        return self.current + base64.b64encode(nonce + cipher.encrypt(nonce, plain, place.encode()))

    def open(self, stored: bytes, place: str) -> bytes:
        """Return the value stored in `place`; raise `SecretUnreadable`."""
        if not stored.startswith(_MARK):
            return stored
        fingerprint, _, text = stored.removeprefix(_MARK).partition(b":")
        cipher = self._ciphers.get(fingerprint)
        if cipher is None:
            raise SecretUnreadable(
                f"{place}: SAFELIGHT_ENCRYPTION_KEY lacks the key "
                f"`{fingerprint.decode(errors='replace')}`; add it after the first"
            )
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  see above

        try:
            data = base64.b64decode(text, validate=True)
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise SecretUnreadable(f"{place}: the stored value is damaged") from None


UNSEALED = Seal()


def closed(tx: Connection, table: Table, row_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` of a row to store, with its secrets encrypted."""
    seal = _seal_of(tx)
    return {
        name: _close(seal, value, f"{table.name}:{row_id}") if name in SEALED[table] else value
        for name, value in values.items()
    }


def opened(tx: Connection, table: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a stored row with its secrets decrypted; raise `SecretUnreadable`."""
    found: dict[str, Any] = {**row}
    place = f"{table.name}:{found[_id_of(table).name]}"
    for name in SEALED[table]:
        found[name] = _open(_seal_of(tx), found[name], place)
    return found


def reseal(tx: Connection, table: Table, *, limit: int) -> int:
    """Encrypt up to `limit` rows with the first key that are not yet; return how many there were.

    A value that changes meanwhile is encrypted by its own writer.
    """
    seal, row_id = _seal_of(tx), _id_of(table)
    columns = [table.c[name] for name in SEALED[table]]
    query = sa.select(row_id, *columns).where(_any_old(seal, table)).limit(limit)
    rows = tx.execute(query.with_for_update()).mappings().all()
    for row in rows:
        fresh = closed(tx, table, row[row_id.name], opened(tx, table, row))
        tx.execute(sa.update(table).where(row_id == row[row_id.name]).values(**fresh))
    return len(rows)


def count_old(tx: Connection) -> int | None:
    """Return how many rows have a secret that the first key did not encrypt; None without a key."""
    seal = _seal_of(tx)
    if not seal:
        return None
    counts = [
        sa.select(sa.func.count()).select_from(table).where(_any_old(seal, table))
        for table in SEALED
    ]
    return sum(tx.scalars(query).one() for query in counts)


def _any_old(seal: Seal, table: Table) -> ColumnElement[bool]:
    return sa.or_(*(_is_old(seal, table.c[name]) for name in SEALED[table]))


def _is_old(seal: Seal, column: Column[Any]) -> ColumnElement[bool]:
    is_bytes = isinstance(column.type, sa.LargeBinary)
    start = seal.current if is_bytes else seal.current.decode()
    begins = sa.func.substr(column, 1, len(start), type_=column.type)
    # Nothing is secret in an empty value, and NULL is no value.
    filled = sa.func.length(column) > 0
    return sa.and_(filled, begins != sa.literal(start, column.type))


def _seal_of(tx: Connection) -> Seal:
    return tx.get_execution_options().get(OPTION, UNSEALED)


def _id_of(table: Table) -> Column[Any]:
    (column,) = table.primary_key.columns
    return column


def _close(seal: Seal, value: Any, place: str) -> Any:
    if isinstance(value, bytes):
        return seal.close(value, place)
    return seal.close(value.encode(), place).decode() if value else value


def _open(seal: Seal, value: Any, place: str) -> Any:
    if isinstance(value, bytes):
        return seal.open(value, place)
    return seal.open(value.encode(), place).decode() if value else value


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  see above

    return AESGCM(key)


def _fingerprint(key: bytes) -> bytes:
    return hashlib.sha256(b"safelight:" + key).hexdigest()[:8].encode()

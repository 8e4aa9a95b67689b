"""The rows of secrets that only this installation knows, made by whoever needs one first."""

import secrets as system

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import secrets
from safelight.db.types import now
from safelight.db.upsert import upsert

_BYTES = 32


def find(tx: Connection, name: str) -> bytes | None:
    """Return the secret of that name, if there is one yet."""
    return tx.scalars(sa.select(secrets.c.value).where(secrets.c.name == name)).one_or_none()


def ensure(tx: Connection, name: str) -> bytes:
    """Return the secret of that name; of several who make it at once, one is first for all."""
    fresh = system.token_bytes(_BYTES)
    tx.execute(
        upsert(tx, secrets)
        .values(name=name, value=fresh, created_at=now())
        .on_conflict_do_nothing(index_elements=[secrets.c.name])
    )
    return tx.scalars(sa.select(secrets.c.value).where(secrets.c.name == name)).one()

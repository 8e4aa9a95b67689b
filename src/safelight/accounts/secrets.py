"""Rows of this installation's secrets, created on first use."""

import secrets as system

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import secrets
from safelight.db.types import now
from safelight.db.upsert import upsert

_BYTES = 32


def find(tx: Connection, name: str) -> bytes | None:
    """Return the secret of that name, or None."""
    return tx.scalars(sa.select(secrets.c.value).where(secrets.c.name == name)).one_or_none()


def ensure(tx: Connection, name: str) -> bytes:
    """Return the secret of that name, created if missing; concurrent callers get the same one."""
    fresh = system.token_bytes(_BYTES)
    tx.execute(
        upsert(tx, secrets)
        .values(name=name, value=fresh, created_at=now())
        .on_conflict_do_nothing(index_elements=[secrets.c.name])
    )
    return tx.scalars(sa.select(secrets.c.value).where(secrets.c.name == name)).one()

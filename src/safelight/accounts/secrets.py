"""Rows of this installation's secrets, created on first use."""

import secrets as system

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.sealed import closed, opened
from safelight.db.tables import secrets
from safelight.db.types import now
from safelight.db.upsert import upsert

_BYTES = 32


def find(tx: Connection, name: str) -> bytes | None:
    """Return the secret of that name, or None."""
    row = tx.execute(sa.select(secrets).where(secrets.c.name == name)).mappings().one_or_none()
    return None if row is None else opened(tx, secrets, row)["value"]


def ensure(tx: Connection, name: str) -> bytes:
    """Return the secret of that name, created if missing; concurrent callers get the same one."""
    fresh = system.token_bytes(_BYTES)
    tx.execute(
        upsert(tx, secrets)
        .values(name=name, created_at=now(), **closed(tx, secrets, name, {"value": fresh}))
        .on_conflict_do_nothing(index_elements=[secrets.c.name])
    )
    row = tx.execute(sa.select(secrets).where(secrets.c.name == name)).mappings().one()
    return opened(tx, secrets, row)["value"]

"""Idempotency keys: a repeated request returns the job or batch it created the first time."""

import hashlib
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import idempotency
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.jobs.errors import IdempotencyConflict

MAX_KEY_LENGTH = 255


def fingerprint(method: str, route: str, *parts: bytes) -> str:
    """Return a request's fingerprint: a hash of its method, route and all parts of its body."""
    digest = hashlib.sha256(f"{method} {route}".encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def find(tx: Connection, account_id: str, key: str, mark: str) -> str | None:
    """Return what this request created before, or None; raise if the key belongs to another."""
    query = sa.select(idempotency.c.subject, idempotency.c.fingerprint).where(
        idempotency.c.account_id == account_id, idempotency.c.key == key
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    if row.fingerprint != mark:
        raise IdempotencyConflict(
            "This Idempotency-Key was used for a request with another method, route or body."
        )
    return row.subject


def keep(tx: Connection, account_id: str, key: str, mark: str, subject: str) -> bool:
    """Store the key for `subject`; False if a concurrent request was first."""
    statement = (
        upsert(tx, idempotency)
        .values(account_id=account_id, key=key, fingerprint=mark, subject=subject, created_at=now())
        .on_conflict_do_nothing()
    )
    return bool(tx.execute(statement).rowcount)


def remove(tx: Connection, account_id: str, *, limit: int) -> int:
    """Delete up to `limit` keys of a deleted account; return how many."""
    mine = sa.select(idempotency.c.key).where(idempotency.c.account_id == account_id).limit(limit)
    gone = sa.delete(idempotency).where(
        idempotency.c.account_id == account_id, idempotency.c.key.in_(tx.scalars(mine).all())
    )
    return tx.execute(gone).rowcount


def forget(tx: Connection, *, kept: timedelta, limit: int) -> int:
    """Delete up to `limit` keys older than `kept`, the oldest first."""
    whole_key = (idempotency.c.account_id, idempotency.c.key)
    old = (
        sa.select(*whole_key)
        .where(idempotency.c.created_at < now(-kept))
        .order_by(idempotency.c.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return tx.execute(sa.delete(idempotency).where(sa.tuple_(*whole_key).in_(old))).rowcount

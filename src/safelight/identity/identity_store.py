"""Rows of identities at login providers, and of requests to connect one to a user."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import identities, identity_requests
from safelight.db.types import now
from safelight.db.upsert import upsert


def find_user(tx: Connection, issuer: str, subject: str) -> str | None:
    """Return the id of the user that an identity belongs to, or None."""
    return tx.scalar(
        sa.select(identities.c.user_id).where(
            identities.c.issuer == issuer, identities.c.subject == subject
        )
    )


def connect(tx: Connection, user_id: str, issuer: str, subject: str) -> bool:
    """Give an identity to a user; return whether it is theirs now, which it may have been."""
    statement = (
        upsert(tx, identities)
        .values(issuer=issuer, subject=subject, user_id=user_id, created_at=now())
        .on_conflict_do_nothing(index_elements=[identities.c.issuer, identities.c.subject])
    )
    tx.execute(statement)
    return find_user(tx, issuer, subject) == user_id


def keep_request(tx: Connection, user_id: str, digest: bytes, *, lasts: timedelta) -> None:
    """Store that a signed-in user began to connect an identity; older requests of theirs end."""
    ended = sa.or_(identity_requests.c.user_id == user_id, identity_requests.c.expires_at <= now())
    tx.execute(sa.delete(identity_requests).where(ended))
    tx.execute(
        sa.insert(identity_requests).values(hash=digest, user_id=user_id, expires_at=now(lasts))
    )


def use_request(tx: Connection, digest: bytes) -> str | None:
    """Remove a request; return its user's id, or None if there is none that is valid."""
    statement = (
        sa.delete(identity_requests)
        .where(identity_requests.c.hash == digest)
        .returning(identity_requests.c.user_id, identity_requests.c.expires_at > now())
    )
    row = tx.execute(statement).one_or_none()
    return row[0] if row is not None and row[1] else None

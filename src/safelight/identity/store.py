"""Rows of users, with their tokens, recovery codes and throttles."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight import ids
from safelight.db.rows import from_row
from safelight.db.sealed import closed, opened
from safelight.db.tables import OPERATORS, recovery_codes, throttles, user_tokens, users
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.db.walks import among
from safelight.identity.user import Purpose, Throttle, User, email_key


def insert(tx: Connection, email: str, *, password: str, is_operator: bool = False) -> User | None:
    """Insert a user with a password's hash, or none; None if the address is taken."""
    statement = (
        upsert(tx, users)
        .values(
            id=ids.new("user"),
            email=email,
            email_key=email_key(email),
            password=password,
            is_operator=is_operator,
            created_at=now(),
        )
        .on_conflict_do_nothing(index_elements=[users.c.email_key])
        .returning(users)
    )
    row = tx.execute(statement).mappings().one_or_none()
    return None if row is None else _to_user(tx, row)


def find(tx: Connection, user_id: str) -> User | None:
    """Return a user, or None."""
    row = tx.execute(sa.select(users).where(users.c.id == user_id)).mappings().one_or_none()
    return None if row is None else _to_user(tx, row)


def find_by_email(tx: Connection, email: str) -> User | None:
    """Return the user of an address in any case, or None."""
    query = sa.select(users).where(users.c.email_key == email_key(email))
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_user(tx, row)


def page(tx: Connection, *, before: str | None, limit: int, email: str | None = None) -> list[User]:
    """Return up to `limit` users older than id `before`, newest first; with `email`, only its."""
    query = sa.select(users).order_by(users.c.id.desc()).limit(limit)
    if email is not None:
        query = query.where(users.c.email_key == email_key(email))
    if before is not None:
        query = query.where(users.c.id < before)
    return [_to_user(tx, row) for row in tx.execute(query).mappings()]


def change(tx: Connection, user_id: str, **values: Any) -> None:
    """Set columns of a user."""
    kept = closed(tx, users, user_id, values)
    tx.execute(sa.update(users).where(users.c.id == user_id).values(**kept))


def set_email(tx: Connection, user_id: str, email: str) -> bool:
    """Give a user a verified address; return whether it was free or the user's own."""
    other = sa.select(users.c.id).where(users.c.email_key == email_key(email))
    if tx.scalar(other.where(users.c.id != user_id)) is not None:
        return False
    change(tx, user_id, email=email, email_key=email_key(email), verified_at=now())
    return True


def has_password(tx: Connection) -> bool:
    """Return whether anybody can sign in with a password."""
    query = sa.select(users.c.id).where(users.c.password != "", users.c.disabled_at.is_(None))
    return tx.scalar(query.limit(1)) is not None


def other_operators(tx: Connection, user_id: str) -> bool:
    """Return whether another active operator exists; locks all of them."""
    query = (
        sa.select(users.c.id)
        .where(OPERATORS, users.c.disabled_at.is_(None))
        .order_by(users.c.id)
        .with_for_update()
    )
    return any(found != user_id for found in tx.scalars(query).all())


# --- single-use tokens -----------------------------------------------------------------------


def keep_token(
    tx: Connection,
    user_id: str,
    purpose: Purpose,
    digest: bytes,
    *,
    lasts: timedelta,
    data: str = "",
) -> None:
    """Store a token by its hash; older ones of the purpose end."""
    end_tokens(tx, user_id, purpose)
    tx.execute(
        sa.insert(user_tokens).values(
            hash=digest, user_id=user_id, purpose=purpose.value, data=data, expires_at=now(lasts)
        )
    )


def end_tokens(tx: Connection, user_id: str, *purposes: Purpose) -> None:
    """Remove a user's tokens of these purposes."""
    tx.execute(
        sa.delete(user_tokens).where(
            user_tokens.c.user_id == user_id,
            user_tokens.c.purpose.in_([each.value for each in purposes]),
        )
    )


def token_owner(tx: Connection, purpose: Purpose, digest: bytes) -> tuple[str, str] | None:
    """Return user id and data of a valid token, or None; the token stays."""
    query = sa.select(user_tokens.c.user_id, user_tokens.c.data).where(
        user_tokens.c.hash == digest,
        user_tokens.c.purpose == purpose.value,
        user_tokens.c.expires_at > now(),
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else (row.user_id, row.data)


def use_token(tx: Connection, purpose: Purpose, digest: bytes) -> tuple[str, str] | None:
    """Remove a valid token; return user id and data. None for all but the first of two."""
    found = token_owner(tx, purpose, digest)
    removed = tx.execute(sa.delete(user_tokens).where(user_tokens.c.hash == digest)).rowcount
    return found if removed == 1 else None


# --- the second factor -----------------------------------------------------------------------


def use_step(tx: Connection, user_id: str, step: int) -> bool:
    """Record the time step of a code; return whether no code of it or a later one was used."""
    statement = (
        sa.update(users)
        .where(users.c.id == user_id, users.c.totp_step < step)
        .values(totp_step=step)
    )
    return tx.execute(statement).rowcount == 1


def replace_codes(tx: Connection, user_id: str, digests: Iterable[bytes]) -> None:
    """Replace the recovery codes of a user."""
    tx.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    rows = [{"user_id": user_id, "hash": digest} for digest in digests]
    if rows:
        tx.execute(sa.insert(recovery_codes), rows)


def use_code(tx: Connection, user_id: str, digest: bytes) -> bool:
    """Remove a recovery code; return whether it was there."""
    statement = sa.delete(recovery_codes).where(
        recovery_codes.c.user_id == user_id, recovery_codes.c.hash == digest
    )
    return tx.execute(statement).rowcount == 1


def codes_left(tx: Connection, user_id: str) -> int:
    """Return how many recovery codes a user has left."""
    query = sa.select(sa.func.count()).where(recovery_codes.c.user_id == user_id)
    return tx.scalars(query).one()


# --- throttles -------------------------------------------------------------------------------


def take(tx: Connection, name: str, throttle: Throttle) -> bool:
    """Count one event under `name`; return whether its window allows it."""
    statement = upsert(tx, throttles).values(name=name, count=1, until=now(throttle.window))
    is_over = throttles.c.until <= now()
    statement = statement.on_conflict_do_update(
        index_elements=[throttles.c.name],
        set_={
            "count": sa.case((is_over, 1), else_=throttles.c.count + 1),
            "until": sa.case((is_over, now(throttle.window)), else_=throttles.c.until),
        },
    ).returning(throttles.c.count)
    return tx.scalars(statement).one() <= throttle.most


def give_back(tx: Connection, name: str) -> None:
    """Uncount one event: it was no failure."""
    statement = sa.update(throttles).where(throttles.c.name == name, throttles.c.count > 0)
    tx.execute(statement.values(count=throttles.c.count - 1))


def clear(tx: Connection, name: str) -> None:
    """Forget the events under `name`."""
    tx.execute(sa.delete(throttles).where(throttles.c.name == name))


# --- retention -------------------------------------------------------------------------------


def forget_tokens(tx: Connection, *, kept: timedelta, limit: int) -> int:
    """Remove up to `limit` tokens that expired longer than `kept` ago."""
    old = (
        sa.select(user_tokens.c.hash)
        .where(user_tokens.c.expires_at < now(-kept))
        .order_by(user_tokens.c.expires_at)
        .limit(limit)
    )
    found = tx.scalars(old).all()
    if not found:
        return 0
    return tx.execute(sa.delete(user_tokens).where(user_tokens.c.hash.in_(found))).rowcount


def forget_throttles(tx: Connection, *, kept: timedelta, limit: int) -> int:
    """Remove up to `limit` throttles whose window ended longer than `kept` ago."""
    old = (
        sa.select(throttles.c.name)
        .where(throttles.c.until < now(-kept))
        .order_by(throttles.c.until)
        .limit(limit)
    )
    named = among(tx, throttles.c.name, tx.scalars(old).all())
    # One that began anew in the meantime stays.
    return tx.execute(sa.delete(throttles).where(named, throttles.c.until < now(-kept))).rowcount


def _to_user(tx: Connection, row: RowMapping) -> User:
    return from_row(User, opened(tx, users, row))

"""Rows of accounts and keys."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight import ids
from safelight.accounts.account import Account, Caller, Scope, Visibility
from safelight.db.tables import accounts, keys
from safelight.db.types import now
from safelight.db.walks import among


def first_account(tx: Connection) -> Account | None:
    """Return the oldest account, or None."""
    row = tx.execute(sa.select(accounts).order_by(accounts.c.id).limit(1)).mappings().one_or_none()
    return None if row is None else _to_account(row)


def operator(tx: Connection) -> str | None:
    """Return the oldest account with a valid admin key, or else the oldest account."""
    admin = sa.cast(keys.c.scopes, sa.Text).like(f'%"{Scope.ADMIN}"%')
    is_valid = sa.or_(keys.c.expires_at.is_(None), keys.c.expires_at > now())
    found = tx.scalar(
        sa.select(sa.func.min(keys.c.account_id)).where(
            admin, keys.c.revoked_at.is_(None), is_valid
        )
    )
    return found or tx.scalar(sa.select(sa.func.min(accounts.c.id)))


def all_accounts(tx: Connection) -> list[Account]:
    """Return every account, the oldest first."""
    return [
        _to_account(row)
        for row in tx.execute(sa.select(accounts).order_by(accounts.c.id)).mappings()
    ]


def lock_accounts(tx: Connection) -> None:
    """Serialize transactions that add accounts; SQLite always does."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE"))


def get_account(tx: Connection, account_id: str) -> Account | None:
    """Return the account, or None."""
    row = (
        tx.execute(sa.select(accounts).where(accounts.c.id == account_id)).mappings().one_or_none()
    )
    return None if row is None else _to_account(row)


def insert_account(tx: Connection, name: str) -> Account:
    """Insert a new account."""
    statement = (
        sa.insert(accounts)
        .values(id=ids.new("account"), name=name, created_at=now())
        .returning(accounts)
    )
    return _to_account(tx.execute(statement).mappings().one())


def change_account(tx: Connection, account_id: str, **values: Any) -> Account | None:
    """Set columns of an account."""
    statement = (
        sa.update(accounts).where(accounts.c.id == account_id).values(**values).returning(accounts)
    )
    row = tx.execute(statement).mappings().one_or_none()
    return None if row is None else _to_account(row)


def insert_key(
    tx: Connection,
    *,
    account_id: str,
    name: str,
    hint: str,
    digest: bytes,
    scopes: tuple[Scope, ...],
    valid_for: timedelta | None,
) -> str:
    """Insert a key by its hash and return its id."""
    key_id = ids.new("key")
    tx.execute(
        sa.insert(keys).values(
            id=key_id,
            account_id=account_id,
            name=name,
            hint=hint,
            hash=digest,
            scopes=[scope.value for scope in scopes],
            created_at=now(),
            expires_at=None if valid_for is None else now(valid_for),
        )
    )
    return key_id


def find_caller(tx: Connection, digest: bytes) -> Caller | None:
    """Return the caller for a key hash, or None if it is unknown, expired or revoked."""
    query = sa.select(keys.c.id, keys.c.account_id, keys.c.scopes).where(_is_valid(digest))
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    return Caller(row.account_id, row.id, frozenset(Scope(scope) for scope in row.scopes))


def use_up_key(tx: Connection, digest: bytes) -> str | None:
    """Revoke a valid key and return its account; None for all but the first of two callers."""
    return tx.scalar(
        sa.update(keys)
        .where(_is_valid(digest))
        .values(revoked_at=now())
        .returning(keys.c.account_id)
    )


def _is_valid(digest: bytes) -> sa.ColumnElement[bool]:
    return sa.and_(
        keys.c.hash == digest,
        keys.c.revoked_at.is_(None),
        sa.or_(keys.c.expires_at.is_(None), keys.c.expires_at > now()),
    )


def revoke_key(tx: Connection, key_id: str) -> None:
    """Revoke a key."""
    tx.execute(
        sa.update(keys)
        .where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
        .values(revoked_at=now())
    )


def forget_keys(tx: Connection, *, kept: timedelta, limit: int) -> int:
    """Remove up to `limit` keys that expired or were revoked longer than `kept` ago.

    Each of the two conditions has its own index.
    """
    removed = 0
    for ended_at in (keys.c.expires_at, keys.c.revoked_at):
        old = (
            sa.select(keys.c.id)
            .where(ended_at < now(-kept))
            .order_by(ended_at)
            .limit(limit - removed)
            .with_for_update(skip_locked=True)
        )
        removed += tx.execute(
            sa.delete(keys).where(among(tx, keys.c.id, tx.scalars(old).all()))
        ).rowcount
    return removed


def _to_account(row: RowMapping) -> Account:
    fields: dict[str, Any] = {**row}
    fields["visibility"] = Visibility(row["visibility"])
    return Account(**fields)

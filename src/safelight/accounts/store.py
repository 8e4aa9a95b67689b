"""Rows of accounts."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight import ids
from safelight.accounts.account import Account, Visibility
from safelight.accounts.scopes import Scope
from safelight.db.rows import from_row
from safelight.db.tables import accounts, keys
from safelight.db.types import now


def first_account(tx: Connection) -> Account | None:
    """Return the oldest account, or None."""
    row = tx.execute(sa.select(accounts).order_by(accounts.c.id).limit(1)).mappings().one_or_none()
    return None if row is None else _to_account(row)


def operator(tx: Connection) -> str | None:
    """Return the oldest account with a valid admin key, or else the oldest account."""
    admin = sa.cast(keys.c.scopes, sa.Text).like(f'%"{Scope.ADMIN_WRITE}"%')
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


def _to_account(row: RowMapping) -> Account:
    return from_row(Account, row, visibility=Visibility(row["visibility"]))

"""Rows of accounts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight import ids
from safelight.accounts import key_store
from safelight.accounts.account import Account, Visibility
from safelight.db.rows import from_row
from safelight.db.tables import DELETED, SUSPENDED, accounts, metadata
from safelight.db.types import now


def operator(tx: Connection) -> str | None:
    """Return the oldest account with a valid admin key, or else the oldest account."""
    found = min(key_store.operators(tx), default=None)
    return found or tx.scalar(sa.select(sa.func.min(accounts.c.id)).where(_IS_THERE))


def all_accounts(tx: Connection) -> list[Account]:
    """Return every account, the oldest first."""
    return [_to_account(row) for row in tx.execute(_THERE.order_by(accounts.c.id)).mappings()]


def page(tx: Connection, *, before: str | None, limit: int) -> list[Account]:
    """Return up to `limit` accounts older than id `before`, newest first."""
    query = _THERE.where(*([accounts.c.id < before] if before else []))
    query = query.order_by(accounts.c.id.desc()).limit(limit)
    return [_to_account(row) for row in tx.execute(query).mappings()]


def closed(tx: Connection) -> dict[str, bool]:
    """Return the accounts that are suspended, false, or deleted, true."""
    query = sa.select(accounts.c.id, accounts.c.deleted_at)
    suspended = query.where(SUSPENDED)
    deleted = query.where(DELETED)
    return {
        row.id: row.deleted_at is not None
        for each in (suspended, deleted)
        for row in tx.execute(each)
    }


def lock_accounts(tx: Connection) -> None:
    """Serialize transactions that add or end accounts; SQLite always does."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE"))


def get_account(tx: Connection, account_id: str) -> Account | None:
    """Return the account, or None if it is unknown or deleted."""
    row = tx.execute(_THERE.where(accounts.c.id == account_id)).mappings().one_or_none()
    return None if row is None else _to_account(row)


def insert_account(tx: Connection, name: str, **values: Any) -> Account:
    """Insert a new account."""
    statement = (
        sa.insert(accounts)
        .values(id=ids.new("account"), name=name, created_at=now(), **values)
        .returning(accounts)
    )
    return _to_account(tx.execute(statement).mappings().one())


def change_account(tx: Connection, account_id: str, **values: Any) -> Account | None:
    """Set columns of an account; return None if it is unknown or deleted."""
    statement = (
        sa.update(accounts)
        .where(accounts.c.id == account_id, _IS_THERE)
        .values(**values)
        .returning(accounts)
    )
    row = tx.execute(statement).mappings().one_or_none()
    return None if row is None else _to_account(row)


# --- deleted accounts ------------------------------------------------------------------------


def leaving(tx: Connection, *, limit: int) -> list[str]:
    """Return deleted accounts whose rows are not all removed yet, the longest deleted first."""
    query = sa.select(accounts.c.id).where(DELETED).order_by(accounts.c.deleted_at).limit(limit)
    return list(tx.scalars(query))


def remove(tx: Connection, account_id: str, *, after: timedelta) -> bool:
    """Remove a row that was deleted longer than `after` ago, unless other rows name it yet."""
    mine = sa.select(accounts.c.id).where(
        accounts.c.id == account_id, accounts.c.deleted_at < now(-after)
    )
    if tx.scalar(mine.with_for_update()) is None:
        return False
    for column in _naming():
        if tx.scalar(sa.select(column).where(column == account_id).limit(1)) is not None:
            return False
    return tx.execute(sa.delete(accounts).where(accounts.c.id == account_id)).rowcount == 1


def _naming() -> Iterator[sa.Column[str]]:
    """Yield every column that refers to accounts."""
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.column is accounts.c.id:
                yield key.parent


_IS_THERE = accounts.c.deleted_at.is_(None)
_THERE = sa.select(accounts).where(_IS_THERE)


def _to_account(row: RowMapping) -> Account:
    return from_row(Account, row, visibility=Visibility(row["visibility"]))

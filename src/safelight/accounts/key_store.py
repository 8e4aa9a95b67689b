"""Rows of credentials: API keys, browser sessions and login links."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, FromClause, RowMapping

from safelight import ids
from safelight.accounts.account import Caller, Credential, Key, hash_secret, hint
from safelight.accounts.scopes import OWNER_SCOPES, Role, Scope, Scopes
from safelight.db.rows import from_row
from safelight.db.tables import OPERATORS, accounts, keys, members, users
from safelight.db.types import now
from safelight.db.walks import among

_USE_NOTED_EVERY = timedelta(minutes=1)
_MOST_SESSIONS = 200  # shown of one person
_COLUMNS = [column for column in keys.c if column.name not in ("hash", "user_id")]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A credential to insert; its secret is stored as a hash."""

    account_id: str
    kind: Credential
    name: str
    secret: str = field(repr=False)
    scopes: Scopes
    valid_for: timedelta | None = None
    rate_per_s: float | None = None
    parent_id: str | None = None  # the API key with which it ends
    user_id: str | None = None  # the person, whose role replaces `scopes` at each use

    @classmethod
    def like(cls, old: Key, secret: str) -> Self:
        """Return a successor of `old` with the same rights and lifetime."""
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        return cls(old.account_id, old.kind, old.name, secret, old.scopes, lifetime, old.rate_per_s)


@dataclass(frozen=True, slots=True)
class Found:
    """The caller of a valid secret, and whether its use is to be recorded again."""

    caller: Caller
    use_is_old: bool
    suspended_for: str | None  # the reason, if the account is suspended


def insert(tx: Connection, new: NewKey) -> Key:
    """Insert a credential."""
    statement = (
        sa.insert(keys)
        .values(
            id=ids.new("key"),
            account_id=new.account_id,
            user_id=new.user_id,
            kind=new.kind.name.lower(),
            name=new.name,
            hint=hint(new.secret),
            hash=hash_secret(new.secret),
            scopes=sorted(new.scopes),
            rate_per_s=new.rate_per_s,
            parent_id=new.parent_id,
            created_at=now(),
            expires_at=None if new.valid_for is None else now(new.valid_for),
        )
        .returning(*_COLUMNS)
    )
    return _to_key(tx.execute(statement).mappings().one())


def find_caller(tx: Connection, digest: bytes) -> Found | None:
    """Return the caller for a secret's hash, or None if it is unknown, expired or revoked.

    A person has the scopes of their present role, and none once disabled or removed.
    """
    row = tx.execute(_FIND, {"digest": digest}).mappings().one_or_none()
    if row is None:
        return None
    if row["role"] is None:
        scopes = _to_scopes(row["scopes"])
    else:
        scopes = OWNER_SCOPES if row["is_operator"] else Role(row["role"]).scopes
    reason = row["suspended_for"] if row["suspended_at"] else None
    return Found(_to_caller(row, scopes), row["use_is_old"], reason)


def still_valid(tx: Connection, key_ids: Collection[str]) -> set[str]:
    """Return which of these credentials would be accepted now."""
    query = (
        sa.select(keys.c.id)
        .select_from(_WITH_PERSON)
        .where(among(tx, keys.c.id, sorted(key_ids)), *_OPEN, *_VALID, _PERSON_MAY)
    )
    return set(tx.scalars(query))


def operators(tx: Connection) -> set[str]:
    """Return the open accounts that have a valid API key with `admin:write`, or an operator."""
    is_admin = sa.cast(keys.c.scopes, sa.Text).like(f'%"{Scope.ADMIN_WRITE}"%')
    by_key = (
        sa.select(keys.c.account_id)
        .join(accounts, accounts.c.id == keys.c.account_id)
        .where(_IS_KEY, is_admin, *_OPEN, *_VALID)
    )
    by_person = (
        sa.select(members.c.account_id)
        .join(users, users.c.id == members.c.user_id)
        .join(accounts, accounts.c.id == members.c.account_id)
        .where(OPERATORS, users.c.disabled_at.is_(None), *_OPEN)
    )
    return set(tx.scalars(by_key.union(by_person)))


def still_open(tx: Connection, account_ids: Collection[str]) -> set[str]:
    """Return which of these accounts exist and are neither suspended nor deleted."""
    query = sa.select(accounts.c.id).where(among(tx, accounts.c.id, sorted(account_ids)), *_OPEN)
    return set(tx.scalars(query))


def count(tx: Connection, account_id: str) -> int:
    """Return how many valid API keys an account has."""
    query = sa.select(sa.func.count()).where(keys.c.account_id == account_id, _IS_KEY, *_VALID)
    return tx.scalars(query).one()


def page(tx: Connection, account_id: str, *, before: str | None, limit: int) -> list[Key]:
    """Return up to `limit` API keys of an account older than id `before`, newest first."""
    query = (
        sa.select(*_COLUMNS)
        .where(keys.c.account_id == account_id, _IS_KEY)
        .where(*([keys.c.id < before] if before else []))
        .order_by(keys.c.id.desc())
        .limit(limit)
    )
    return [_to_key(row) for row in tx.execute(query).mappings()]


def find(tx: Connection, account_id: str, key_id: str) -> Key | None:
    """Return the account's API key, or None."""
    query = sa.select(*_COLUMNS).where(
        keys.c.account_id == account_id, keys.c.id == key_id, _IS_KEY
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_key(row)


def use_up(tx: Connection, digest: bytes) -> Caller | None:
    """Revoke a valid credential and return its caller; None for all but the first of two."""
    statement = (
        sa.update(keys)
        .where(keys.c.hash == digest, *_VALID)
        .values(revoked_at=now())
        .returning(*_OF_CALLER)
    )
    row = tx.execute(statement).mappings().one_or_none()
    return None if row is None else _to_caller(row, _to_scopes(row["scopes"]))


def sessions_of(tx: Connection, user_id: str) -> list[Key]:
    """Return a person's open sessions in all accounts, newest first."""
    query = (
        sa.select(*_COLUMNS)
        .where(keys.c.user_id == user_id, _IS_SESSION, *_VALID)
        .order_by(keys.c.id.desc())
        .limit(_MOST_SESSIONS)
    )
    return [_to_key(row) for row in tx.execute(query).mappings()]


def revoke_of(
    tx: Connection, user_id: str, *, but: str = "", only: str = "", account_id: str = ""
) -> int:
    """Revoke a person's sessions and login links; return how many were open.

    All, or all `but` one key, or `only` one key, or those in one account.
    """
    statement = (
        sa.update(keys)
        .where(keys.c.user_id == user_id, *_VALID)
        .where(*([keys.c.id != but] if but else []))
        .where(*([keys.c.id == only] if only else []))
        .where(*([keys.c.account_id == account_id] if account_id else []))
        .values(revoked_at=now())
    )
    return tx.execute(statement).rowcount


def expire(tx: Connection, key_id: str, after: timedelta) -> bool:
    """End a credential `after` from now, unless it ends sooner; return whether it was valid."""
    end = now(after)
    sooner = sa.case((keys.c.expires_at < end, keys.c.expires_at), else_=end)
    statement = sa.update(keys).where(keys.c.id == key_id, *_VALID).values(expires_at=sooner)
    return tx.execute(statement).rowcount == 1


def revoke(tx: Connection, key_id: str) -> bool:
    """Revoke a credential; return whether it was not revoked before."""
    statement = (
        sa.update(keys)
        .where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
        .values(revoked_at=now())
    )
    return tx.execute(statement).rowcount == 1


def remove(tx: Connection, account_id: str, *, limit: int) -> int:
    """Remove up to `limit` credentials of an account; return how many."""
    mine = sa.select(keys.c.id).where(keys.c.account_id == account_id).limit(limit)
    gone = sa.delete(keys).where(among(tx, keys.c.id, tx.scalars(mine).all()))
    return tx.execute(gone).rowcount


def record_use(tx: Connection, addresses: Mapping[str, str]) -> None:
    """Store that credentials were used now, each from its address."""
    statement = (
        sa.update(keys)
        .where(keys.c.id == sa.bindparam("key_id"))
        .values(last_used_at=now(), last_used_from=sa.bindparam("address"))
    )
    rows = [{"key_id": key_id, "address": addresses[key_id]} for key_id in sorted(addresses)]
    tx.execute(statement, rows)


def forget(tx: Connection, *, kept: timedelta, limit: int) -> int:
    """Remove up to `limit` credentials that expired or were revoked longer than `kept` ago.

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


_IS_KEY: ColumnElement[bool] = keys.c.kind == Credential.KEY.name.lower()
_IS_SESSION: ColumnElement[bool] = keys.c.kind == Credential.SESSION.name.lower()
_OF_CALLER = (
    keys.c.id,
    keys.c.kind,
    keys.c.account_id,
    keys.c.scopes,
    keys.c.rate_per_s,
    keys.c.parent_id,
    keys.c.user_id,
)
_WITH_PERSON = (
    keys.join(accounts, accounts.c.id == keys.c.account_id)
    .outerjoin(users, users.c.id == keys.c.user_id)
    .outerjoin(
        members,
        sa.and_(members.c.user_id == keys.c.user_id, members.c.account_id == keys.c.account_id),
    )
)
_PERSON_MAY: ColumnElement[bool] = sa.or_(
    keys.c.user_id.is_(None),
    sa.and_(users.c.disabled_at.is_(None), members.c.role.is_not(None)),
)
_OPEN: tuple[ColumnElement[bool], ...] = (
    accounts.c.suspended_at.is_(None),
    accounts.c.deleted_at.is_(None),
)


def _lasts(row: FromClause) -> tuple[ColumnElement[bool], ...]:
    return (
        row.c.revoked_at.is_(None),
        sa.or_(row.c.expires_at.is_(None), row.c.expires_at > now()),
    )


_PARENT = keys.alias("parent")
_PARENT_LASTS = sa.exists().where(_PARENT.c.id == keys.c.parent_id, *_lasts(_PARENT))
_VALID: tuple[ColumnElement[bool], ...] = (
    *_lasts(keys),
    sa.or_(keys.c.parent_id.is_(None), _PARENT_LASTS),
)


def _to_caller(row: RowMapping, scopes: Scopes) -> Caller:
    is_key = row["kind"] == Credential.KEY.name.lower()
    return Caller(
        row["account_id"],
        row["id"],
        scopes,
        row["rate_per_s"],
        root_id=row["id"] if is_key else row["parent_id"],
        user_id=row["user_id"],
    )


_FIND = (  # built once: that takes longer than the query
    sa.select(
        *_OF_CALLER,
        users.c.is_operator,
        members.c.role,
        sa.func.coalesce(keys.c.last_used_at < now(-_USE_NOTED_EVERY), sa.true()).label(
            "use_is_old"
        ),
        accounts.c.suspended_at,
        accounts.c.suspended_for,
    )
    .select_from(_WITH_PERSON)
    .where(
        keys.c.hash == sa.bindparam("digest", type_=sa.LargeBinary),
        accounts.c.deleted_at.is_(None),
        *_VALID,
        _PERSON_MAY,
    )
)


def _to_scopes(names: list[str]) -> Scopes:
    return frozenset(Scope(name) for name in names)


def _to_key(row: RowMapping) -> Key:
    kind = Credential[row["kind"].upper()]
    return from_row(Key, row, kind=kind, scopes=_to_scopes(row["scopes"]))

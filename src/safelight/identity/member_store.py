"""Rows of members and of invitations."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping, Select

from safelight import ids
from safelight.accounts.scopes import Role
from safelight.db.rows import from_row
from safelight.db.tables import accounts, invitations, members, users
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.db.walks import among
from safelight.identity.user import Invitation, Membership

_INVITATION = [column for column in invitations.c if column.name != "hash"]
_OPEN = (
    invitations.c.accepted_at.is_(None),
    invitations.c.revoked_at.is_(None),
    invitations.c.expires_at > now(),
)


def add(tx: Connection, account_id: str, user_id: str, role: Role) -> bool:
    """Make a user a member; return whether they were none before."""
    statement = (
        upsert(tx, members)
        .values(account_id=account_id, user_id=user_id, role=role.value, created_at=now())
        .on_conflict_do_nothing(index_elements=[members.c.account_id, members.c.user_id])
    )
    return tx.execute(statement).rowcount == 1


def find(tx: Connection, account_id: str, user_id: str) -> Membership | None:
    """Return a user's membership of an account, or None."""
    query = _select().where(members.c.account_id == account_id, members.c.user_id == user_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_membership(row)


def of_user(tx: Connection, user_id: str) -> list[Membership]:
    """Return a user's memberships, oldest first."""
    query = _select().where(members.c.user_id == user_id)
    query = query.order_by(members.c.created_at, members.c.account_id)
    return [_to_membership(row) for row in tx.execute(query).mappings()]


def of_users(tx: Connection, user_ids: Iterable[str]) -> list[Membership]:
    """Return the memberships of several users, oldest first."""
    query = _select().where(among(tx, members.c.user_id, user_ids))
    query = query.order_by(members.c.created_at, members.c.account_id)
    return [_to_membership(row) for row in tx.execute(query).mappings()]


def page(tx: Connection, account_id: str, *, before: str | None, limit: int) -> list[Membership]:
    """Return up to `limit` members whose user id is lower than `before`, newest user first."""
    query = _select().where(members.c.account_id == account_id)
    if before is not None:
        query = query.where(members.c.user_id < before)
    query = query.order_by(members.c.user_id.desc()).limit(limit)
    return [_to_membership(row) for row in tx.execute(query).mappings()]


def change(tx: Connection, account_id: str, user_id: str, role: Role) -> None:
    """Set a member's role."""
    statement = sa.update(members).where(
        members.c.account_id == account_id, members.c.user_id == user_id
    )
    tx.execute(statement.values(role=role.value))


def remove(tx: Connection, account_id: str, user_id: str) -> None:
    """End a membership."""
    tx.execute(
        sa.delete(members).where(members.c.account_id == account_id, members.c.user_id == user_id)
    )


def other_admins(tx: Connection, account_id: str, user_id: str) -> bool:
    """Return whether the account has another active admin; locks all of them."""
    query = (
        sa.select(members.c.user_id)
        .join(users, users.c.id == members.c.user_id)
        .where(
            members.c.account_id == account_id,
            members.c.role == Role.ADMIN.value,
            users.c.disabled_at.is_(None),
        )
        .order_by(members.c.user_id)
        .with_for_update()
    )
    return any(found != user_id for found in tx.scalars(query).all())


# --- invitations -----------------------------------------------------------------------------


def invite(tx: Connection, digest: bytes, *, lasts: timedelta, **values: Any) -> Invitation:
    """Insert an invitation; `values` are account_id, email, role and mailed."""
    statement = (
        sa.insert(invitations)
        .values(
            id=ids.new("invitation"),
            hash=digest,
            created_at=now(),
            expires_at=now(lasts),
            **values,
        )
        .returning(*_INVITATION)
    )
    return _to_invitation(tx.execute(statement).mappings().one())


def count_open(tx: Connection, account_id: str) -> int:
    """Return how many invitations of an account are open."""
    query = sa.select(sa.func.count()).where(invitations.c.account_id == account_id, *_OPEN)
    return tx.scalars(query).one()


def invitations_of(
    tx: Connection, account_id: str, *, before: str | None, limit: int
) -> list[Invitation]:
    """Return up to `limit` invitations of an account older than id `before`, newest first."""
    query = sa.select(*_INVITATION).where(invitations.c.account_id == account_id)
    if before is not None:
        query = query.where(invitations.c.id < before)
    query = query.order_by(invitations.c.id.desc()).limit(limit)
    return [_to_invitation(row) for row in tx.execute(query).mappings()]


def find_invitation(tx: Connection, account_id: str, invitation_id: str) -> Invitation | None:
    """Return an account's invitation, or None."""
    query = sa.select(*_INVITATION).where(
        invitations.c.account_id == account_id, invitations.c.id == invitation_id
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_invitation(row)


def open_invitation(tx: Connection, digest: bytes) -> Invitation | None:
    """Return the open invitation of a token's hash, or None."""
    query = sa.select(*_INVITATION).where(invitations.c.hash == digest, *_OPEN)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_invitation(row)


def accept(tx: Connection, digest: bytes) -> Invitation | None:
    """Use up an open invitation and return it; None for all but the first of two."""
    statement = (
        sa.update(invitations)
        .where(invitations.c.hash == digest, *_OPEN)
        .values(accepted_at=now())
        .returning(*_INVITATION)
    )
    row = tx.execute(statement).mappings().one_or_none()
    return None if row is None else _to_invitation(row)


def revoke(tx: Connection, invitation_id: str) -> bool:
    """Revoke an open invitation; return whether it was open."""
    statement = sa.update(invitations).where(invitations.c.id == invitation_id, *_OPEN)
    return tx.execute(statement.values(revoked_at=now())).rowcount == 1


def forget(tx: Connection, *, kept: timedelta, limit: int) -> int:
    """Remove up to `limit` invitations that expired longer than `kept` ago."""
    old = (
        sa.select(invitations.c.id)
        .where(invitations.c.expires_at < now(-kept))
        .order_by(invitations.c.expires_at)
        .limit(limit)
    )
    named = among(tx, invitations.c.id, tx.scalars(old).all())
    return tx.execute(sa.delete(invitations).where(named)).rowcount


def clear(tx: Connection, account_id: str, *, limit: int) -> int:
    """Remove up to `limit` members, then invitations, of a deleted account; return how many."""
    mine = sa.select(members.c.user_id).where(members.c.account_id == account_id).limit(limit)
    gone = sa.delete(members).where(
        members.c.account_id == account_id, among(tx, members.c.user_id, tx.scalars(mine).all())
    )
    if removed := tx.execute(gone).rowcount:
        return removed
    asked = sa.select(invitations.c.id).where(invitations.c.account_id == account_id).limit(limit)
    named = among(tx, invitations.c.id, tx.scalars(asked).all())
    return tx.execute(sa.delete(invitations).where(named)).rowcount


def _select() -> Select[*tuple[Any, ...]]:
    return (
        sa.select(
            members.c.account_id,
            accounts.c.name.label("account_name"),
            members.c.user_id,
            users.c.email,
            members.c.role,
            members.c.created_at,
            users.c.disabled_at,
        )
        .select_from(members)
        .join(accounts, accounts.c.id == members.c.account_id)
        .join(users, users.c.id == members.c.user_id)
    )


def _to_membership(row: RowMapping) -> Membership:
    return from_row(Membership, row, role=Role(row["role"]))


def _to_invitation(row: RowMapping) -> Invitation:
    return from_row(Invitation, row, role=Role(row["role"]))

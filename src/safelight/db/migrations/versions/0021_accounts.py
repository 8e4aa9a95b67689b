"""Accounts that are suspended or deleted, and sessions that end with the key that opened them."""

import sqlalchemy as sa
from alembic import op

from safelight.db.types import Instant

revision = "0021_accounts"
down_revision = "0020_keys"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_accounts_suspended": "suspended_at IS NOT NULL",
    "ix_accounts_deleted": "deleted_at IS NOT NULL",
}


def upgrade() -> None:
    op.add_column("accounts", sa.Column("suspended_at", Instant()))
    op.add_column(
        "accounts", sa.Column("suspended_for", sa.Text(), server_default="", nullable=False)
    )
    op.add_column("accounts", sa.Column("deleted_at", Instant()))
    op.add_column("keys", sa.Column("parent_id", sa.Text()))
    for name, condition in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, "accounts", ["id"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "accounts")
    op.drop_column("keys", "parent_id")
    for name in ("suspended_at", "suspended_for", "deleted_at"):
        op.drop_column("accounts", name)

"""People: users, their memberships, invitations, tokens, recovery codes, and sessions of users."""

import sqlalchemy as sa
from alembic import op

from safelight.db.types import Instant

revision = "0022_people"
down_revision = "0021_accounts"
branch_labels = None
depends_on = None

_ROLE = "role IN ('viewer','member','admin')"


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False, unique=True),
        sa.Column("password", sa.Text(), server_default="", nullable=False),
        sa.Column("is_operator", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("verified_at", Instant()),
        sa.Column("disabled_at", Instant()),
        sa.Column("totp_secret", sa.Text(), server_default="", nullable=False),
        sa.Column("totp_since", Instant()),
        sa.Column("totp_step", sa.BigInteger(), server_default="0", nullable=False),
    )
    operators = sa.text("is_operator")
    op.create_index(
        "ix_users_operators", "users", ["id"], postgresql_where=operators, sqlite_where=operators
    )
    op.create_table(
        "members",
        sa.Column("account_id", sa.Text(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "user_id"),
        sa.CheckConstraint(_ROLE, name="role"),
    )
    op.create_index("ix_members_user", "members", ["user_id", "created_at"])
    op.create_table(
        "invitations",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("account_id", sa.Text(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("mailed", sa.Boolean(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("accepted_at", Instant()),
        sa.Column("revoked_at", Instant()),
        sa.CheckConstraint(_ROLE, name="role"),
    )
    op.create_index("ix_invitations_account", "invitations", ["account_id", "id"])
    op.create_index("ix_invitations_expires_at", "invitations", ["expires_at"])
    op.create_table(
        "user_tokens",
        sa.Column("hash", sa.LargeBinary(), primary_key=True),
        sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.CheckConstraint("purpose IN ('reset','email','second_step')", name="purpose"),
    )
    op.create_index("ix_user_tokens_user", "user_tokens", ["user_id", "purpose"])
    op.create_index("ix_user_tokens_expires_at", "user_tokens", ["expires_at"])
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "hash"),
    )
    op.create_table(
        "throttles",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
    )
    op.create_index("ix_throttles_until", "throttles", ["until"])
    op.add_column("keys", sa.Column("user_id", sa.Text()))
    theirs = sa.text("user_id IS NOT NULL")
    op.create_index(
        "ix_keys_user", "keys", ["user_id", "id"], postgresql_where=theirs, sqlite_where=theirs
    )


def downgrade() -> None:
    # Without people their sessions would be keys of nobody.
    op.execute("DELETE FROM keys WHERE user_id IS NOT NULL")
    op.drop_index("ix_keys_user", "keys")
    op.drop_column("keys", "user_id")
    for name in (
        "throttles",
        "recovery_codes",
        "user_tokens",
        "invitations",
        "members",
        "users",
    ):
        op.drop_table(name)

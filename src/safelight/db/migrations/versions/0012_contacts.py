"""Contacts, notices on their way to them, and whom jobs and batches want told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from safelight.db.types import Instant

revision = "0012_contacts"
down_revision = "0011_retention"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)
_DIGEST = sa.text("digest")
_PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    for table in ("jobs", "batches"):
        op.add_column(table, sa.Column("notify", _JSON, nullable=True))
    op.create_table(
        "contacts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("events", _JSON, nullable=False),
        sa.Column("digest", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("code_until", Instant(), nullable=True),
        sa.Column("codes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("guesses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("digested_on", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("confirmed_at", Instant(), nullable=True),
        sa.Column("stopped_at", Instant(), nullable=True),
        sa.Column("stopped_reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("channel IN ('email','sms','sns')", name="channel"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_contacts_account_id_accounts"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
        sa.UniqueConstraint("account_id", "channel", "address", name="uq_contacts_account_id"),
    )
    op.create_index(
        "ix_contacts_digest",
        "contacts",
        ["digested_on"],
        postgresql_where=_DIGEST,
        sqlite_where=_DIGEST,
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event", _JSON, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claim_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.CheckConstraint("state IN ('pending','delivered','failed')", name="state"),
        sa.CheckConstraint(
            "(state = 'pending') = (finished_at IS NULL)", name="finished_iff_final"
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
            name="fk_notices_contact_id_contacts",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.UniqueConstraint("contact_id", "event_id", name="uq_notices_contact_id"),
    )
    op.create_index(
        "ix_notices_due",
        "notices",
        ["due_at"],
        postgresql_where=_PENDING,
        sqlite_where=_PENDING,
    )
    op.create_index("ix_notices_finished_at", "notices", ["finished_at"])


def downgrade() -> None:
    op.drop_table("notices")
    op.drop_table("contacts")
    for table in ("jobs", "batches"):
        op.drop_column(table, "notify")

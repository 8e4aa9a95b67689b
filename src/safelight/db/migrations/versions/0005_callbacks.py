"""Callbacks of providers, attempts by ticket, and circuit breakers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from safelight.db.types import Instant

revision = "0005_callbacks"
down_revision = "0004_library"
branch_labels = None
depends_on = None


_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)
_MOVABLE = sa.text("status = 'queued' AND fallbacks <> '[]'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("fallbacks", _JSON, server_default="[]", nullable=False))
    op.create_index(
        "ix_jobs_movable", "jobs", ["provider"], postgresql_where=_MOVABLE, sqlite_where=_MOVABLE
    )
    op.create_table(
        "callbacks",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["attempts.id"],
            name="fk_callbacks_attempt_id_attempts",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_callbacks"),
    )
    op.create_table(
        "breakers",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.Column("shut_until", Instant(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("provider", name="pk_breakers"),
    )
    op.create_index(
        "ix_attempts_ticket",
        "attempts",
        ["provider", "ticket"],
        postgresql_where=sa.text("state <> 'closed'"),
        sqlite_where=sa.text("state <> 'closed'"),
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_movable", "jobs")
    op.drop_column("jobs", "fallbacks")
    op.drop_index("ix_attempts_ticket", "attempts")
    op.drop_table("breakers")
    op.drop_table("callbacks")

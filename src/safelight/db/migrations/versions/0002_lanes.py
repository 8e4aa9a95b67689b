"""Lanes that can be paused, limits that hold over all workers, and indexes for both."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from safelight.db.types import Instant

revision = "0002_lanes"
down_revision = "0001_first_tables"
branch_labels = None
depends_on = None

_LIMITED = "max_in_flight IS NOT NULL"
_IN_FLIGHT = "status IN ('running', 'waiting')"


def _where(condition: str) -> dict[str, Any]:
    """Restrict an index to some rows, on either database."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "paused_lanes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("paused_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_paused_lanes"),
    )
    op.create_table(
        "start_rates",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("filled_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("provider", name="pk_start_rates"),
    )
    op.add_column("accounts", sa.Column("max_in_flight", sa.Integer(), nullable=True))
    op.create_index("ix_accounts_limited", "accounts", ["id"], **_where(_LIMITED))
    op.drop_index("ix_jobs_ready", "jobs")
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        ["lane", "provider", "account_id", sa.text("priority DESC"), "run_at"],
        **_where("ready"),
    )
    op.create_index("ix_jobs_oldest", "jobs", ["lane", "run_at"], **_where("ready"))
    op.create_index("ix_jobs_provider_in_flight", "jobs", ["provider"], **_where(_IN_FLIGHT))
    op.create_index("ix_jobs_account_in_flight", "jobs", ["account_id"], **_where(_IN_FLIGHT))
    op.create_index("ix_jobs_dead", "jobs", ["finished_at"], **_where("status = 'failed'"))
    op.create_index(
        "ix_jobs_finished_at", "jobs", ["finished_at"], **_where("finished_at IS NOT NULL")
    )
    op.create_index("ix_events_created_at", "events", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_events_created_at", "events")
    for name in (
        "finished_at",
        "dead",
        "account_in_flight",
        "provider_in_flight",
        "oldest",
        "ready",
    ):
        op.drop_index(f"ix_jobs_{name}", "jobs")
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        ["lane", "account_id", sa.text("priority DESC"), "run_at"],
        **_where("ready"),
    )
    op.drop_index("ix_accounts_limited", "accounts")
    op.drop_column("accounts", "max_in_flight")
    op.drop_table("start_rates")
    op.drop_table("paused_lanes")

"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from safelight.db.types import Instant

revision = "0001_first_tables"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)


def _where(condition: str) -> dict[str, Any]:
    """Restrict an index to some rows, on either database."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("subject", "seq", name="uq_events_subject"),
    )
    op.create_index(
        "ix_events_batch", "events", ["batch_id", "id"], **_where("batch_id IS NOT NULL")
    )

    op.create_table(
        "idempotency",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])

    op.create_table(
        "batches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("problems", _JSON, nullable=False),
        sa.Column("tags", _JSON, nullable=False),
        sa.Column("metadata", _JSON, nullable=False),
        sa.Column("seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_batches_account_id_accounts"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", _JSON, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_keys_account_id_accounts"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("hash", name="uq_keys_hash"),
    )
    op.create_index("ix_keys_account_id", "keys", ["account_id"])

    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("progress", sa.Float(), server_default="0", nullable=False),
        sa.Column("prompt", sa.Text(), server_default="", nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("params", _JSON, nullable=False),
        sa.Column("inputs", _JSON, nullable=False),
        sa.Column("source_url", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("batch_index", sa.Integer(), nullable=True),
        sa.Column("tags", _JSON, nullable=False),
        sa.Column("metadata", _JSON, nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("run_at", Instant(), nullable=False),
        sa.Column("start_by", Instant(), nullable=True),
        sa.Column("timeout_s", sa.Float(), nullable=False),
        sa.Column("repeatable", sa.Boolean(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("wakes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claim_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.Column("seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", _JSON, nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("estimate_micros", sa.BigInteger(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.CheckConstraint(
            "(status = 'running') = (leased_until IS NOT NULL)"
            " AND (leased_until IS NULL) = (leased_by IS NULL)",
            name=op.f("ck_jobs_leased_iff_running"),
        ),
        sa.CheckConstraint(
            "(status IN ('succeeded','failed','canceled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_finished_iff_final"),
        ),
        sa.CheckConstraint(
            "NOT ready OR status = 'queued'", name=op.f("ck_jobs_ready_only_queued")
        ),
        sa.CheckConstraint(
            "status <> 'failed' OR error IS NOT NULL", name=op.f("ck_jobs_failed_has_error")
        ),
        sa.CheckConstraint(
            "status <> 'succeeded' OR error IS NULL", name=op.f("ck_jobs_succeeded_has_no_error")
        ),
        sa.CheckConstraint(
            "status IN ('queued','running','waiting','succeeded','failed','canceled')",
            name=op.f("ck_jobs_status"),
        ),
        sa.CheckConstraint(
            "(batch_id IS NULL) = (batch_index IS NULL)", name=op.f("ck_jobs_batch_has_index")
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("ck_jobs_progress_is_percent")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_jobs_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_jobs_batch_id_batches"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("batch_id", "batch_index", name="uq_jobs_batch_id"),
    )
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        ["lane", "account_id", sa.text("priority DESC"), "run_at"],
        **_where("ready"),
    )
    op.create_index("ix_jobs_account", "jobs", ["account_id", sa.text("id DESC")])
    op.create_index("ix_jobs_finished", "jobs", ["model", sa.text("finished_at DESC")])
    op.create_index(
        "ix_jobs_delayed", "jobs", ["lane", "run_at"], **_where("status = 'queued' AND NOT ready")
    )
    op.create_index("ix_jobs_leased", "jobs", ["leased_until"], **_where("status = 'running'"))
    op.create_index(
        "ix_jobs_start_by",
        "jobs",
        ["start_by"],
        **_where("status = 'queued' AND start_by IS NOT NULL"),
    )
    op.create_index("ix_jobs_waiting", "jobs", ["lane", "run_at"], **_where("status = 'waiting'"))

    op.create_table(
        "assets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("original_key", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("placeholder", sa.Text(), nullable=True),
        sa.Column("facts", _JSON, nullable=False),
        sa.Column("renditions", _JSON, nullable=False),
        sa.Column("source_url", sa.Text(), server_default="", nullable=False),
        sa.Column("prompt", sa.Text(), server_default="", nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("provider", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.CheckConstraint("kind IN ('image','model_3d')", name=op.f("ck_assets_kind")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_assets_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_assets_job_id_jobs"),
        sa.PrimaryKeyConstraint("id", name="pk_assets"),
        sa.UniqueConstraint("job_id", "position", name="uq_assets_job_id"),
        sa.UniqueConstraint("key", name="uq_assets_key"),
    )
    op.create_index("ix_assets_account", "assets", ["account_id", sa.text("id DESC")])
    op.create_index("ix_assets_original", "assets", ["account_id", "sha256"])

    op.create_table(
        "attempts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ticket", sa.Text(), nullable=True),
        sa.Column("error", _JSON, nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("ticketed_at", Instant(), nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.CheckConstraint(
            "(state = 'closed') = (outcome IS NOT NULL)"
            " AND (state = 'closed') = (closed_at IS NOT NULL)",
            name=op.f("ck_attempts_closed_has_outcome"),
        ),
        sa.CheckConstraint(
            "outcome IN ('succeeded','failed','canceled','lost')", name=op.f("ck_attempts_outcome")
        ),
        sa.CheckConstraint(
            "state <> 'ticketed' OR ticket IS NOT NULL",
            name=op.f("ck_attempts_ticketed_has_ticket"),
        ),
        sa.CheckConstraint(
            "state IN ('sent','ticketed','unknown','closed')", name=op.f("ck_attempts_state")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_attempts_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.UniqueConstraint("job_id", "number", name="uq_attempts_job_id"),
    )
    op.create_index(
        "uq_attempts_open", "attempts", ["job_id"], unique=True, **_where("state <> 'closed'")
    )


def downgrade() -> None:
    for table in (
        "attempts",
        "assets",
        "jobs",
        "keys",
        "batches",
        "idempotency",
        "events",
        "accounts",
    ):
        op.drop_table(table)

"""Indexes that keep every read and every removal flat, however many rows there are."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016_growth"
down_revision = "0015_grounds"
branch_labels = None
depends_on = None

_Index = tuple[str, str, Sequence[str], str | None]  # name, table, columns, condition

_NEW: tuple[_Index, ...] = (
    ("ix_jobs_line", "jobs", ("lane", "priority DESC", "run_at"), "ready"),
    ("ix_jobs_account", "jobs", ("account_id", "status", "id"), None),
    (
        "ix_jobs_ended",
        "jobs",
        ("account_id", "status", "finished_at"),
        "finished_at IS NOT NULL",
    ),
    ("ix_jobs_dead", "jobs", ("finished_at", "id"), "status = 'failed'"),
    ("ix_jobs_succeeded", "jobs", ("model", "finished_at"), "status = 'succeeded'"),
    ("ix_keys_expires_at", "keys", ("expires_at",), "expires_at IS NOT NULL"),
    ("ix_keys_revoked_at", "keys", ("revoked_at",), "revoked_at IS NOT NULL"),
    ("ix_notices_newest", "notices", ("contact_id", "id"), None),
    ("ix_deliveries_endpoint", "deliveries", ("endpoint_id", "state", "id"), None),
    ("ix_batches_account", "batches", ("account_id", "id"), None),
    ("ix_audit_account", "audit", ("account_id", "id"), None),
    ("ix_audit_subject", "audit", ("subject", "account_id", "id"), None),
    ("ix_trash_account", "trash", ("account_id", "asset_id"), None),
    ("ix_assets_account", "assets", ("account_id", "number"), None),
)
_OLD: tuple[_Index, ...] = (
    ("ix_jobs_oldest", "jobs", ("lane", "run_at"), "ready"),
    ("ix_jobs_account", "jobs", ("account_id", "id DESC"), None),
    ("ix_jobs_account_in_flight", "jobs", ("account_id",), "status IN ('running', 'waiting')"),
    ("ix_jobs_dead", "jobs", ("finished_at",), "status = 'failed'"),
    ("ix_jobs_finished", "jobs", ("model", "finished_at DESC"), None),
    ("ix_batches_account", "batches", ("account_id", "id DESC"), None),
    ("ix_audit_account", "audit", ("account_id", "id DESC"), None),
    ("ix_audit_subject", "audit", ("subject",), None),
    ("ix_trash_account", "trash", ("account_id", "asset_id DESC"), None),
    ("ix_assets_account", "assets", ("account_id", "number DESC"), None),
)


def upgrade() -> None:
    _replace(_OLD, _NEW)


def downgrade() -> None:
    _replace(_NEW, _OLD)


def _replace(old: Sequence[_Index], new: Sequence[_Index]) -> None:
    for name, table, _, _ in old:
        op.drop_index(name, table)
    for name, table, columns, condition in new:
        where = None if condition is None else sa.text(condition)
        partial: dict[str, Any] = {"postgresql_where": where, "sqlite_where": where}
        spelled = [sa.text(column) if " " in column else column for column in columns]
        op.create_index(name, table, spelled, **(partial if condition else {}))

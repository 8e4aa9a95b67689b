"""Addresses that jobs name, rotated secrets, endpoints that fail, and a log of each try."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from safelight.db.types import Instant

revision = "0008_webhooks"
down_revision = "0007_batches"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)
_DEFAULT = sa.text("url = ''")


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _added() -> dict[str, tuple[sa.Column[Any], ...]]:
    return {
        "jobs": (_text("webhook_url"),),
        "batches": (_text("webhook_url"),),
        "endpoints": (
            sa.Column("thin", sa.Boolean(), server_default=sa.false(), nullable=False),
            sa.Column("old_secret", sa.Text()),
            sa.Column("old_secret_until", Instant()),
            _number("seq"),
            sa.Column("failing_since", Instant()),
            _text("disabled_reason"),
        ),
        "deliveries": (_text("url"), _text("receiver"), _number("claim_no")),
    }


def upgrade() -> None:
    for table, columns in _added().items():
        for column in columns:
            op.add_column(table, column)
    # Shares are counted by it, and tries under way settle by the other.
    op.execute("UPDATE deliveries SET receiver = endpoint_id, claim_no = tries")
    op.execute("UPDATE endpoints SET disabled_reason = 'gone' WHERE disabled_at IS NOT NULL")
    op.create_index(
        "uq_endpoints_default",
        "endpoints",
        ["account_id"],
        unique=True,
        postgresql_where=_DEFAULT,
        sqlite_where=_DEFAULT,
    )
    op.create_table(
        "delivery_tries",
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("request", _JSON, nullable=False),
        sa.Column("answer", _JSON, nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name="fk_delivery_tries_delivery_id_deliveries",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="pk_delivery_tries"),
    )


def downgrade() -> None:
    op.drop_table("delivery_tries")
    op.drop_index("uq_endpoints_default", "endpoints")
    for table, columns in _added().items():
        for column in columns:
            op.drop_column(table, column.name)

"""An audit log, assets that can be had back, holds, and how long an account keeps what it makes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from safelight.db.types import Instant

revision = "0011_retention"
down_revision = "0010_visibility"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)


def upgrade() -> None:
    for table in ("accounts", "assets"):
        op.add_column(table, sa.Column("hold", sa.Text(), server_default="", nullable=False))
    op.add_column("assets", sa.Column("seq", sa.Integer(), server_default="1", nullable=False))
    for name in ("keep_image_s", "keep_model_3d_s"):
        op.add_column("accounts", sa.Column(name, sa.Float(), nullable=True))
    op.create_table(
        "audit",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_account", "audit", ["account_id", sa.text("id DESC")])
    op.create_index("ix_audit_subject", "audit", ["subject"])
    op.create_table(
        "trash",
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("original_key", sa.Text(), nullable=False),
        sa.Column("row", _JSON, nullable=False),
        sa.Column("deleted_at", Instant(), nullable=False),
        sa.Column("purge_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_trash_account_id_accounts"
        ),
        sa.PrimaryKeyConstraint("asset_id", name="pk_trash"),
    )
    op.create_index("ix_trash_account", "trash", ["account_id", sa.text("asset_id DESC")])
    op.create_index("ix_trash_original", "trash", ["original_key"])
    op.create_index("ix_trash_purge_at", "trash", ["purge_at"])


def downgrade() -> None:
    op.drop_table("trash")
    op.drop_table("audit")
    for name in ("keep_image_s", "keep_model_3d_s"):
        op.drop_column("accounts", name)
    op.drop_column("assets", "seq")
    for table in ("accounts", "assets"):
        op.drop_column(table, "hold")

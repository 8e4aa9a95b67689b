"""Batches found by their account, newest first."""

import sqlalchemy as sa
from alembic import op

revision = "0007_batches"
down_revision = "0006_pace"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_batches_account", "batches", ["account_id", sa.text("id DESC")])


def downgrade() -> None:
    op.drop_index("ix_batches_account", "batches")

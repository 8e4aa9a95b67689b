"""Visibility of outputs, and its default per account."""

import sqlalchemy as sa
from alembic import op

revision = "0010_visibility"
down_revision = "0009_expiry"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("accounts", "jobs"):
        op.add_column(
            table, sa.Column("visibility", sa.Text(), server_default="public", nullable=False)
        )


def downgrade() -> None:
    for table in ("accounts", "jobs"):
        op.drop_column(table, "visibility")

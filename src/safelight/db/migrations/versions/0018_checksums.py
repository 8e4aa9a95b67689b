"""Checksums of served copies and variants, so that damaged objects are found."""

import sqlalchemy as sa
from alembic import op

revision = "0018_checksums"
down_revision = "0017_first_plan"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("assets", sa.Column("served_sha256", sa.Text()))
    op.add_column("variants", sa.Column("sha256", sa.Text()))


def downgrade() -> None:
    op.drop_column("variants", "sha256")
    op.drop_column("assets", "served_sha256")

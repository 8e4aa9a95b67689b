"""How large each original is."""

import sqlalchemy as sa
from alembic import op

revision = "0013_usage"
down_revision = "0012_contacts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "originals", sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("originals", "bytes")

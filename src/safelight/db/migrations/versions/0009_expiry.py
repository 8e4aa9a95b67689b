"""When assets go by themselves, and how long a job's outputs stay."""

import sqlalchemy as sa
from alembic import op

from safelight.db.types import Instant

revision = "0009_expiry"
down_revision = "0008_webhooks"
branch_labels = None
depends_on = None

_EXPIRES = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("keep_s", sa.Float()))
    op.add_column("assets", sa.Column("expires_at", Instant()))
    op.create_index(
        "ix_assets_expires_at",
        "assets",
        ["expires_at"],
        postgresql_where=_EXPIRES,
        sqlite_where=_EXPIRES,
    )


def downgrade() -> None:
    op.drop_index("ix_assets_expires_at", "assets")
    op.drop_column("assets", "expires_at")
    op.drop_column("jobs", "keep_s")

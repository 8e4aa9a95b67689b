"""How fast a provider is started at that refused for a rate limit."""

import sqlalchemy as sa
from alembic import op

from safelight.db.types import Instant

revision = "0006_pace"
down_revision = "0005_callbacks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("breakers", sa.Column("pace", sa.Float()))
    op.add_column("breakers", sa.Column("paced_at", Instant()))


def downgrade() -> None:
    op.drop_column("breakers", "paced_at")
    op.drop_column("breakers", "pace")

"""How much a contact was told lately is counted by an index."""

from alembic import op

revision = "0014_notices"
down_revision = "0013_usage"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_notices_contact", "notices", ["contact_id", "created_at"])


def downgrade() -> None:
    op.drop_index("ix_notices_contact", "notices")

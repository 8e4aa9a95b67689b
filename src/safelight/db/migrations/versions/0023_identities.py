"""Identities of people at login providers, and requests to connect one."""

import sqlalchemy as sa
from alembic import op

from safelight.db.types import Instant

revision = "0023_identities"
down_revision = "0022_people"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject"),
    )
    op.create_index("ix_identities_user", "identities", ["user_id"])
    op.create_table(
        "identity_requests",
        sa.Column("hash", sa.LargeBinary(), primary_key=True),
        sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
    )
    op.create_index("ix_identity_requests_user", "identity_requests", ["user_id"])
    op.create_index("ix_identity_requests_expires_at", "identity_requests", ["expires_at"])


def downgrade() -> None:
    op.drop_table("identity_requests")
    op.drop_table("identities")

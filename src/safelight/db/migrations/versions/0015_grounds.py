"""Why each attempt is closed, random fences, and known costs beside unknown ones."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types
from safelight.db.types import Instant

revision = "0015_grounds"
down_revision = "0014_notices"
branch_labels = None
depends_on = None

_RECONCILED = sa.text("state <> 'closed' AND look_at IS NOT NULL")
_GROUNDED = "state <> 'closed' OR ground <> 'none'"


def upgrade() -> None:
    op.execute("ALTER TABLE jobs RENAME COLUMN claim_no TO fence")
    if op.get_bind().dialect.name == "postgresql":  # SQLite's integers are that wide
        op.execute("ALTER TABLE jobs ALTER COLUMN fence TYPE bigint")
    op.add_column("jobs", sa.Column("cost_known_micros", sa.BigInteger()))
    op.execute("UPDATE jobs SET cost_known_micros = cost_micros")
    # Attempts that were closed before have no ground; the check holds from here on. SQLite takes
    # one only with its column.
    op.execute(
        "ALTER TABLE attempts ADD COLUMN ground TEXT NOT NULL DEFAULT 'earlier'"
        f" CONSTRAINT ck_attempts_closed_has_ground CHECK ({_GROUNDED})"
    )
    op.execute("UPDATE attempts SET ground = 'none' WHERE state <> 'closed'")
    op.add_column("attempts", sa.Column("unknown_at", Instant()))
    op.add_column("attempts", sa.Column("look_at", Instant()))
    op.add_column(
        "attempts", sa.Column("cancels", sa.Integer(), server_default="0", nullable=False)
    )
    now = sa.select(types.now()).compile(op.get_bind(), compile_kwargs={"literal_binds": True})
    op.execute(
        f"UPDATE attempts SET look_at = ({now}) WHERE state <> 'closed' AND job_id IN"  # noqa: S608
        " (SELECT id FROM jobs WHERE finished_at IS NOT NULL)"
    )
    op.create_index(
        "ix_attempts_look_at",
        "attempts",
        ["look_at"],
        postgresql_where=_RECONCILED,
        sqlite_where=_RECONCILED,
    )


def downgrade() -> None:
    op.drop_index("ix_attempts_look_at", "attempts")
    for name in ("cancels", "look_at", "unknown_at"):
        op.drop_column("attempts", name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE attempts DROP COLUMN ground")
        op.execute("ALTER TABLE jobs ALTER COLUMN fence TYPE integer USING 0")
    op.drop_column("jobs", "cost_known_micros")
    op.execute("ALTER TABLE jobs RENAME COLUMN fence TO claim_no")

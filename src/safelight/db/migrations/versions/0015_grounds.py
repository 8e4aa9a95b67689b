"""Why each attempt is closed, random fences, and known costs beside unknown ones."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types
from safelight.db.types import Instant

revision = "0015_grounds"
down_revision = "0014_notices"
branch_labels = None
depends_on = None

_GROUNDED = "state <> 'closed' OR ground <> 'none'"


def upgrade() -> None:
    _number("fence", sa.BigInteger())
    op.drop_column("jobs", "claim_no")
    op.add_column("jobs", sa.Column("cost_known_micros", sa.BigInteger()))
    op.execute("UPDATE jobs SET cost_known_micros = cost_micros")
    # Attempts that were closed before have no ground; the check holds from here on. SQLite takes
    # one only with its column.
    op.execute(
        "ALTER TABLE attempts ADD COLUMN ground TEXT DEFAULT 'earlier' NOT NULL"
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
    op.drop_index("ix_attempts_ticket", "attempts")
    _index("ix_attempts_ticket", ["provider", "ticket"], "ticket IS NOT NULL")
    _index("ix_attempts_look_at", ["look_at"], "state <> 'closed' AND look_at IS NOT NULL")


def _index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "attempts", columns, postgresql_where=where, sqlite_where=where)


def _number(name: str, kind: sa.types.TypeEngine[int]) -> None:
    op.add_column("jobs", sa.Column(name, kind, server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_index("ix_attempts_look_at", "attempts")
    op.drop_index("ix_attempts_ticket", "attempts")
    _index("ix_attempts_ticket", ["provider", "ticket"], "state <> 'closed'")
    for name in ("cancels", "look_at", "unknown_at", "ground"):
        op.drop_column("attempts", name)
    op.drop_column("jobs", "cost_known_micros")
    _number("claim_no", sa.Integer())
    op.drop_column("jobs", "fence")

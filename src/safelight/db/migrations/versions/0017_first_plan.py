"""The first plan of a job that fell back, due times, and alerts about providers."""

import sqlalchemy as sa
from alembic import op

from safelight.db.types import Instant, Json

revision = "0017_first_plan"
down_revision = "0016_growth"
branch_labels = None
depends_on = None

_BOUND_TO_FAIL = sa.text("status = 'queued' AND error IS NOT NULL")
_MOVABLE = sa.text("status = 'queued' AND fallbacks <> '[]'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("first_plan", Json))
    op.drop_index("ix_jobs_movable", "jobs")
    _index("provider", "run_at")
    op.create_index(
        "ix_jobs_bound_to_fail",
        "jobs",
        ["run_at"],
        postgresql_where=_BOUND_TO_FAIL,
        sqlite_where=_BOUND_TO_FAIL,
    )
    op.create_index("ix_attempts_lately", "attempts", ["provider", "created_at"])
    op.add_column("breakers", sa.Column("refused_look", sa.Text()))
    op.add_column("breakers", sa.Column("degraded_at", Instant()))


def downgrade() -> None:
    op.drop_column("breakers", "degraded_at")
    op.drop_column("breakers", "refused_look")
    op.drop_index("ix_attempts_lately", "attempts")
    op.drop_index("ix_jobs_bound_to_fail", "jobs")
    op.drop_index("ix_jobs_movable", "jobs")
    _index("provider")
    op.drop_column("jobs", "first_plan")


def _index(*columns: str) -> None:
    op.create_index(
        "ix_jobs_movable",
        "jobs",
        [*columns],
        postgresql_where=_MOVABLE,
        sqlite_where=_MOVABLE,
    )

"""Keys of a kind each, with scopes by area, a rate limit, and their last use."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

from safelight.db.types import Instant, Json

revision = "0020_keys"
down_revision = "0019_processes"
branch_labels = None
depends_on = None

_AREAS = ("jobs", "assets", "webhooks")
_NOW = {
    "read": [*(f"{area}:read" for area in _AREAS), "usage:read", "account:read"],
    "write": [f"{area}:write" for area in _AREAS],
    "admin": ["account:write", "admin:read", "admin:write"],
    "login": [],
}

_keys = sa.table("keys", sa.column("id", sa.Text), sa.column("scopes", Json))


def upgrade() -> None:
    # SQLite takes a check only with its column.
    op.execute(
        "ALTER TABLE keys ADD COLUMN kind TEXT DEFAULT 'key' NOT NULL"
        " CONSTRAINT ck_keys_kind CHECK (kind IN ('key','session','login'))"
    )
    op.execute("UPDATE keys SET kind = 'session' WHERE hint LIKE 'ses\\_%' ESCAPE '\\'")
    op.execute("UPDATE keys SET kind = 'login' WHERE hint LIKE 'lnk\\_%' ESCAPE '\\'")
    # They did not say which scopes to open a session with.
    op.execute("UPDATE keys SET revoked_at = created_at WHERE kind = 'login'")
    op.add_column("keys", sa.Column("rate_per_s", sa.Float()))
    op.add_column("keys", sa.Column("last_used_at", Instant()))
    op.add_column("keys", sa.Column("last_used_from", sa.Text(), server_default="", nullable=False))
    op.drop_index("ix_keys_account_id", "keys")
    op.create_index("ix_keys_account", "keys", ["account_id", "kind", "id"])
    _rewrite(lambda old: sorted({new for each in old for new in _NOW.get(each, [each])}))


def downgrade() -> None:
    _rewrite(_before)
    op.drop_index("ix_keys_account", "keys")
    op.create_index("ix_keys_account_id", "keys", ["account_id"])
    for name in ("last_used_from", "last_used_at", "rate_per_s", "kind"):
        op.drop_column("keys", name)


def _before(scopes: list[str]) -> list[str]:
    """Return the old scopes that grant no more than `scopes` did."""
    return [old for old, new in _NOW.items() if new and set(new) <= set(scopes)]


def _rewrite(change: Callable[[list[str]], list[str]]) -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(_keys)).all():
        statement = sa.update(_keys).where(_keys.c.id == row.id)
        connection.execute(statement.values(scopes=change(row.scopes)))

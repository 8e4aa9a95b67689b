"""A library of pictures: what people say of them, a search index, originals that are shared."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from safelight.db.types import Instant

revision = "0004_library"
down_revision = "0003_deliveries"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)
_SEARCH = "(number BIGINT PRIMARY KEY, account_id TEXT NOT NULL, words TSVECTOR NOT NULL)"
_SEARCH_ON_POSTGRESQL = (
    f"CREATE TABLE asset_search {_SEARCH}",
    # The planner must know the usual words, or it walks where it should look them up.
    "ALTER TABLE asset_search ALTER COLUMN words SET STATISTICS 1000",
    "CREATE INDEX ix_asset_search_account ON asset_search (account_id, number DESC)",
    "CREATE INDEX ix_asset_search_words ON asset_search USING gin (words)",
)
# The words come folded and apart already; both engines only keep them.
_SEARCH_ON_SQLITE = (
    "CREATE VIRTUAL TABLE asset_search USING fts5(words, tokenize='unicode61 remove_diacritics 0')",
)


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _where(condition: str) -> dict[str, Any]:
    """Restrict an index to some rows, on either database."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    op.add_column("jobs", _words("external_id"))
    _extend_assets()
    _make_originals()
    op.create_table(
        "loose_objects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("object_keys", _JSON, nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_loose_objects"),
    )
    op.create_index("ix_loose_objects_until", "loose_objects", ["until"])
    _make_variants()
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
    for statement in _SEARCH_ON_POSTGRESQL if _is_postgresql() else _SEARCH_ON_SQLITE:
        op.execute(statement)


def _extend_assets() -> None:
    op.add_column("assets", sa.Column("number", sa.BigInteger(), nullable=True))
    for name in ("caption", "external_id", "source_host"):
        op.add_column("assets", _words(name))
    op.add_column("assets", sa.Column("tags", _JSON, server_default="[]", nullable=False))
    op.add_column("assets", sa.Column("metadata", _JSON, server_default="{}", nullable=False))
    op.add_column("assets", sa.Column("perceptual_hash", sa.Text(), nullable=True))
    if _is_postgresql():
        op.execute("CREATE SEQUENCE asset_numbers")
        op.execute(
            "UPDATE assets SET number = ordered.number FROM (SELECT id,"
            " nextval('asset_numbers') AS number FROM (SELECT id FROM assets ORDER BY id) AS old)"
            " AS ordered WHERE assets.id = ordered.id"
        )
        op.execute("UPDATE assets SET perceptual_hash = facts ->> 'perceptual_hash'")
    else:
        op.execute(
            "UPDATE assets SET number = rowid,"
            " perceptual_hash = json_extract(facts, '$.perceptual_hash')"
        )
    op.drop_index("ix_assets_account", "assets")
    op.drop_index("ix_assets_original", "assets")
    op.create_index("uq_assets_number", "assets", ["number"], unique=True)
    op.create_index("ix_assets_account", "assets", ["account_id", sa.text("number DESC")])
    op.create_index("ix_assets_original", "assets", ["original_key"])
    op.create_index("ix_assets_created_at", "assets", ["created_at"])


def _make_originals() -> None:
    op.create_table(
        "originals",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("held_until", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_originals_account_id_accounts"
        ),
        sa.PrimaryKeyConstraint("account_id", "sha256", name="pk_originals"),
        sa.UniqueConstraint("key", name="uq_originals_key"),
    )
    op.create_index(
        "ix_originals_held", "originals", ["held_until"], **_where("held_until IS NOT NULL")
    )
    op.execute(
        "INSERT INTO originals (account_id, sha256, key)"
        " SELECT DISTINCT account_id, sha256, original_key FROM assets"
        " WHERE original_key LIKE 'originals/%'"
    )


def _make_variants() -> None:
    op.create_table(
        "variants",
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name="fk_variants_asset_id_assets", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("asset_id", "spec", name="pk_variants"),
        sa.UniqueConstraint("key", name="uq_variants_key"),
    )


def downgrade() -> None:
    op.drop_table("asset_search")
    for table in ("secrets", "variants", "loose_objects", "originals"):
        op.drop_table(table)
    for index in (
        "uq_assets_number",
        "ix_assets_account",
        "ix_assets_original",
        "ix_assets_created_at",
    ):
        op.drop_index(index, "assets")
    op.create_index("ix_assets_account", "assets", ["account_id", sa.text("id DESC")])
    op.create_index("ix_assets_original", "assets", ["account_id", "sha256"])
    if _is_postgresql():
        op.execute("DROP SEQUENCE asset_numbers")
    for name in (
        "number",
        "caption",
        "external_id",
        "source_host",
        "tags",
        "metadata",
        "perceptual_hash",
    ):
        op.drop_column("assets", name)
    op.drop_column("jobs", "external_id")

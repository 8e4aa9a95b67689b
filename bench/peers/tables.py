"""The peer's four tables, and the first account with its key."""

import hashlib
import secrets

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()
_INSTANT = sa.TIMESTAMP(timezone=True)

accounts = Table(
    "accounts",
    metadata,
    Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    Column("name", sa.Text, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("hash", sa.LargeBinary, primary_key=True),  # SHA-256 of the secret
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("revoked_at", _INSTANT),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", sa.Uuid, primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("status", sa.Text, nullable=False, server_default="queued"),
    Column("prompt", sa.Text, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("error", sa.Text),
    Column("created_at", _INSTANT, nullable=False, server_default=sa.func.now()),
    Column("started_at", _INSTANT),
    Column("finished_at", _INSTANT),
    Index("ix_jobs_account", "account_id", sa.desc("created_at")),
)

assets = Table(
    "assets",
    metadata,
    Column("id", sa.Uuid, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
    Column("path", sa.Text, nullable=False),
    Column("media_type", sa.Text, nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("created_at", _INSTANT, nullable=False, server_default=sa.func.now()),
)


def driver_url(url: str) -> str:
    """Return `postgresql://…` as SQLAlchemy spells it for psycopg."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def hashed(secret: str) -> bytes:
    """Return what of a key is kept."""
    return hashlib.sha256(secret.encode()).digest()


def create(url: str) -> str:
    """Make the tables in an empty database; return the key of its only account."""
    secret = secrets.token_urlsafe(24)
    database = sa.create_engine(driver_url(url))
    with database.begin() as tx:
        metadata.create_all(tx)
        made = sa.insert(accounts).values(name="bench").returning(accounts.c.id)
        row = {"hash": hashed(secret), "account_id": tx.scalar(made)}
        tx.execute(sa.insert(keys).values(row))
    database.dispose()
    return secret

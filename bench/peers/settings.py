"""Settings of the peer's processes: environment variables `PEER_…`."""

from functools import cache
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the database, the broker and the files are."""

    model_config = SettingsConfigDict(env_prefix="PEER_", frozen=True)

    database_url: str
    broker_url: str = ""
    files: Path = Path("files")
    ledger: Path = Path("ledger.jsonl")
    pool_size: int = 20


@cache
def settings() -> Settings:
    """Return what this process was told, read once."""
    return Settings()  # pyright: ignore[reportCallIssue]  the environment gives the URL

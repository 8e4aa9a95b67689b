"""Settings of the peer's processes: environment variables `PEER_…`."""

from functools import cache
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The addresses of the database and the broker, and the folder of the files."""

    model_config = SettingsConfigDict(env_prefix="PEER_", frozen=True)

    database_url: str
    broker_url: str = ""
    files: Path = Path("files")
    ledger: Path = Path("ledger.jsonl")
    pool_size: int = 20
    vendor_url: str = ""  # of an API like Replicate's; empty: the no-op provider makes the pictures
    renditions: bool = False  # make of each picture those that Safelight makes


@cache
def settings() -> Settings:
    """Return what this process was told, read once."""
    return Settings()  # pyright: ignore[reportCallIssue]  the environment gives the URL

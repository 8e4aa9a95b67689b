"""This installation: where its data is, and how it logs."""

from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from safelight.settings.checked import MIB


class InstallationSettings(BaseSettings):
    """This installation: where its data is, and how it logs."""

    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("safelight")),
        description="Folder for the database, the stored files and the local API key.",
    )
    database_url: str = Field(
        default="",
        repr=False,  # may contain a password
        description="`postgresql://…` or `sqlite:///…`; empty is SQLite in the data folder.",
    )
    doorbell_url: str = Field(
        default="",
        repr=False,
        description="Message broker that wakes other processes: `postgresql://…`, "
        "`redis://…`, `nats://…` or `sqs://REGION/PREFIX`; empty is the "
        "database if it is PostgreSQL.",
    )
    encryption_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key with which secrets in the database are encrypted: 32 bytes in base64, as "
        "`openssl rand -base64 32` prints. Several are separated by commas: the first "
        "encrypts, the others only decrypt. Empty stores secrets as they are.",
    )
    min_free_bytes: int = Field(
        default=256 * MIB,
        ge=0,
        description="Free disk space to keep in reserve, in bytes: below it, new work is refused.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log level to write."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="Format of log lines."
    )
    probe_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port for `/health` and `/metrics` in a process without the API; 0 is none.",
    )
    metrics_emf: bool = Field(
        default=False,
        description="Write queue metrics to standard output in CloudWatch's embedded "
        "metric format.",
    )
    fake_provider: bool = Field(
        default=False, description="Offer the scriptable `fake` model. For tests and benchmarks."
    )

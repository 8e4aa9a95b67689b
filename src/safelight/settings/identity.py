"""Issuers of tokens."""

from pydantic import Field
from pydantic_settings import BaseSettings

from safelight.settings.checked import ExistingFile


class IdentitySettings(BaseSettings):
    """Issuers of tokens."""

    issuers: ExistingFile | None = Field(
        default=None,
        description="TOML file of the issuers whose access tokens the API takes, and of the "
        "providers at which people sign in; empty is none.",
    )

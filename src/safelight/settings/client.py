"""The command line as a client."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from safelight.settings.checked import HttpUrl


class ClientSettings(BaseSettings):
    """The command line as a client."""

    url: HttpUrl = Field(default="", description="CLI: URL of a running server.")
    api_key: SecretStr = Field(default=SecretStr(""), description="CLI: API key for that server.")

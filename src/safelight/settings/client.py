"""The command line as a client."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class ClientSettings(BaseSettings):
    """The command line as a client."""

    url: str = Field(default="", description="CLI: URL of a running server.")
    api_key: SecretStr = Field(default=SecretStr(""), description="CLI: API key for that server.")

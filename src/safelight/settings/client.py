"""The command line as a client."""

from pathlib import Path

import platformdirs
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from safelight.settings.checked import HttpUrl


class ClientSettings(BaseSettings):
    """The command line as a client."""

    url: HttpUrl = Field(default="", description="CLI: URL of a running server.")
    api_key: SecretStr = Field(default=SecretStr(""), description="CLI: API key for that server.")
    profile: str = Field(
        default="",
        description="CLI: profile to use, as `safelight profiles` lists them; `local` is this "
        "machine's own server.",
    )
    config_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_config_dir("safelight")),
        description="CLI: folder of the profiles with their keys.",
    )

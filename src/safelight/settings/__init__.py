"""All settings: environment variables `SAFELIGHT_…`, a section a module; see docs/settings.md."""

import os
from pathlib import Path

from dotenv import dotenv_values
from pydantic_settings import SettingsConfigDict

from safelight.settings.client import ClientSettings
from safelight.settings.fetch import FetchSettings
from safelight.settings.installation import InstallationSettings
from safelight.settings.media import MediaSettings
from safelight.settings.notifications import NotificationSettings
from safelight.settings.providers import ProviderSettings
from safelight.settings.retention import RetentionSettings
from safelight.settings.storage import StorageSettings
from safelight.settings.web import WebSettings
from safelight.settings.work import WorkSettings


class Settings(
    InstallationSettings,
    StorageSettings,
    WebSettings,
    WorkSettings,
    RetentionSettings,
    NotificationSettings,
    ProviderSettings,
    MediaSettings,
    FetchSettings,
    ClientSettings,
):
    """Everything that an operator may change. Only the composition root and the CLI read it."""

    model_config = SettingsConfigDict(
        env_prefix="SAFELIGHT_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # some of it is secret
    )

    @property
    def objects(self) -> Path | None:
        """The folder of stored files, if they are stored on disk at the default place."""
        return None if self.storage else self.data_dir / "objects"

    @property
    def environment(self) -> dict[str, str]:
        """The values of `${NAME}` in the catalogue: the environment, then `.env`."""
        kept = {name: value for name, value in dotenv_values(".env").items() if value is not None}
        return kept | dict(os.environ)  # noqa: TID251  this is the one place

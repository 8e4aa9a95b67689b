"""All settings: environment variables `SAFELIGHT_…`, a section a module; see docs/settings.md."""

import os
from pathlib import Path
from typing import Any, Self, cast

from dotenv import dotenv_values
from pydantic import model_validator
from pydantic_settings import SettingsConfigDict

from safelight.json_object import JsonObject
from safelight.settings.checked import is_for_tests
from safelight.settings.client import ClientSettings
from safelight.settings.fetch import FetchSettings
from safelight.settings.identity import IdentitySettings
from safelight.settings.installation import InstallationSettings
from safelight.settings.media import MediaSettings
from safelight.settings.notifications import NotificationSettings
from safelight.settings.providers import ProviderSettings
from safelight.settings.retention import RetentionSettings
from safelight.settings.secret_files import secret_names, with_secret_files
from safelight.settings.storage import StorageSettings
from safelight.settings.web import WebSettings
from safelight.settings.work import WorkSettings


class Settings(
    InstallationSettings,
    StorageSettings,
    WebSettings,
    IdentitySettings,
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

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        table = cast("JsonObject", given)
        return with_secret_files(table, secret_names(cls.model_fields), environment())

    @model_validator(mode="after")
    def _is_safe_in_public(self) -> Self:
        """Refuse what only tests may do in an installation that others can reach."""
        if not self.public_url or is_for_tests(self.public_url):
            return self
        if self.fake_provider:
            raise ValueError(
                "SAFELIGHT_FAKE_PROVIDER is for tests: turn it off, or unset SAFELIGHT_PUBLIC_URL"
            )
        if self.fetch_allow_private:
            raise ValueError(
                "SAFELIGHT_FETCH_ALLOW_PRIVATE opens every private network to the users of "
                "SAFELIGHT_PUBLIC_URL: name the networks in SAFELIGHT_FETCH_ALLOW_NETWORKS instead"
            )
        return self

    @property
    def objects(self) -> Path | None:
        """The folder of stored files, if they are stored on disk at the default place."""
        return None if self.storage else self.data_dir / "objects"

    @property
    def environment(self) -> dict[str, str]:
        """The values of `${NAME}` in the catalogue."""
        return environment()


def known_names() -> list[str]:
    """Return the names of all settings, with `…_file` for those that a file may give."""
    files = [f"{name}_file" for name in secret_names(Settings.model_fields)]
    return [*Settings.model_fields, *files]


def environment() -> dict[str, str]:
    """Return the environment's variables, and those of `.env` beneath."""
    kept = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return kept | dict(os.environ)  # noqa: TID251  this is the one place

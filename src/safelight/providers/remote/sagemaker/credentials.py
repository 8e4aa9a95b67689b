"""AWS credentials: keys from the settings, or the default credential chain."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The AWS libraries have no types.

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError

from safelight.providers.errors import ProviderUnauthorized
from safelight.providers.remote.sagemaker.config import SageMakerConfig

_FIND_S = 20.0


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys to sign requests with now."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Credentials(Protocol):
    """A source of keys, which renews them in time."""

    async def keys(self) -> Keys: ...


class StaticCredentials:
    """Keys that never change."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def keys(self) -> Keys:
        return self._keys


class AmbientCredentials:
    """The AWS default chain: environment, profile, web identity, container, instance."""

    def __init__(self, session: AioSession | None = None) -> None:
        self._session = session or AioSession()

    async def keys(self) -> Keys:
        """Return valid keys; raise `ProviderUnauthorized` if there are none."""
        try:
            async with asyncio.timeout(_FIND_S):
                found = await self._session.get_credentials()
                if found is None:
                    raise ProviderUnauthorized("No AWS credentials were found on this server.")
                frozen = await found.get_frozen_credentials()
        except (TimeoutError, BotoCoreError) as error:
            raise ProviderUnauthorized("The AWS credentials could not be obtained.") from error
        if not frozen.access_key or not frozen.secret_key:
            raise ProviderUnauthorized("The AWS credentials are incomplete.")
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)


def credentials_of(config: SageMakerConfig) -> Credentials:
    """Return the keys from the settings, else the default credential chain."""
    if config.access_key_id:
        return StaticCredentials(Keys(config.access_key_id, config.secret_access_key))
    return AmbientCredentials()

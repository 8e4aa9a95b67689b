"""Webhook signing key of an account, fetched once if the settings have none."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

from safelight.errors import SafelightError
from safelight.providers.errors import ProviderError
from safelight.providers.remote.api import Api
from safelight.providers.remote.replicate.signature import key_of

_ASK_S = 5.0
_PAUSE_S = 30.0  # after a failure: a flood of callbacks must not become a flood of key requests


class SigningKey:
    """The key of one account. `ticks` is a monotonic clock, in seconds."""

    def __init__(self, api: Api, secret: str, ticks: Callable[[], float]) -> None:
        self._api = api
        self._ticks = ticks
        self._key = key_of(secret) if secret else b""
        self._lock = asyncio.Lock()
        self._asked_at: float | None = None

    async def get(self) -> bytes:
        """Return the key, or raise the error of fetching it."""
        if self._key:
            return self._key
        async with self._lock:
            if not self._key:
                self._key = await self._ask()
        return self._key

    async def _ask(self) -> bytes:
        now = self._ticks()
        if self._asked_at is not None and now < self._asked_at + _PAUSE_S:
            raise ProviderError("The provider's webhook key could not be fetched a moment ago.")
        self._asked_at = now
        try:
            answer = await self._api.call("GET", "/webhooks/default/secret", answer_s=_ASK_S)
            told = answer.document
            secret = cast("Mapping[str, Any]", told).get("key") if isinstance(told, dict) else None
            return key_of(secret if isinstance(secret, str) else "")
        except (SafelightError, ValueError) as error:
            raise ProviderError("The provider's webhook key cannot be fetched.") from error

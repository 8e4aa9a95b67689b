"""S3 client: single attempts with a deadline, and typed errors."""

# pyright: reportUnknownMemberType=false
# The type of `obstore.list` is partly generic.

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from safelight.fetch.errors import FetchTooLarge
from safelight.providers.errors import (
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnauthorized,
)
from safelight.providers.remote.sagemaker.config import SageMakerConfig
from safelight.providers.remote.sagemaker.credentials import Credentials
from safelight.providers.remote.sagemaker.place import S3Place

if TYPE_CHECKING:
    from obstore.store import S3Credential

_MOST_NAMES = 16
_RENEW = timedelta(minutes=1)  # then the credentials are asked again; they cache


class Objects:
    """The objects in the configured S3 locations. No retries: jobs decide."""

    def __init__(self, config: SageMakerConfig, credentials: Credentials) -> None:
        self._config = config
        self._credentials = credentials
        self._stores: dict[str, S3Store] = {}

    async def put(self, place: S3Place, name: str, body: bytes) -> None:
        """Write or overwrite an object."""
        try:
            async with self._typed(place):
                await obstore.put_async(
                    self._store(place),
                    place.key(name),
                    body,
                    attributes={"Content-Type": "application/json"},
                    use_multipart=False,
                )
        except FileNotFoundError:
            raise ProviderRejected(f"There is no bucket {place.bucket}.") from None

    async def read(self, place: S3Place, name: str, *, max_bytes: int) -> bytes | None:
        """Return an object's bytes, or None if it does not exist."""
        try:
            async with self._typed(place):
                found = await obstore.get_async(self._store(place), place.key(name))
                if found.meta["size"] > max_bytes:
                    raise FetchTooLarge(f"The result is larger than {max_bytes} bytes.")
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None

    async def exists(self, place: S3Place, name: str) -> bool:
        """Return whether an object exists."""
        try:
            async with self._typed(place):
                await obstore.head_async(self._store(place), place.key(name))
        except FileNotFoundError:
            return False
        return True

    async def names(self, place: S3Place, folder: str) -> list[str]:
        """Return the first few object names in a folder of `place`."""
        found = obstore.list(self._store(place), prefix=place.key(folder), chunk_size=_MOST_NAMES)
        try:
            async with self._typed(place):
                async for entries in found:
                    return [entry["path"].removeprefix(place.prefix) for entry in entries]
        except FileNotFoundError:
            pass
        return []

    async def delete(self, place: S3Place, name: str) -> None:
        """Delete an object; a missing one is no error."""
        try:
            async with self._typed(place):
                await obstore.delete_async(self._store(place), place.key(name))
        except FileNotFoundError:
            return

    def _store(self, place: S3Place) -> S3Store:
        if place.bucket not in self._stores:
            config = self._config
            limit = timedelta(seconds=config.transfer_s)
            self._stores[place.bucket] = S3Store(
                place.bucket,
                region=config.region,
                virtual_hosted_style_request=not config.s3_url,
                credential_provider=self._keys,
                client_options={
                    "timeout": limit,
                    "connect_timeout": min(limit, timedelta(seconds=10)),
                    "allow_http": config.s3_url.startswith("http://"),
                },
                retry_config={"max_retries": 0},
                config={"endpoint": config.s3_url} if config.s3_url else None,
            )
        return self._stores[place.bucket]

    async def _keys(self) -> "S3Credential":
        keys = await self._credentials.keys()
        return {
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _RENEW,
        }

    @asynccontextmanager
    async def _typed(self, place: S3Place) -> AsyncGenerator[None]:
        """Map S3 errors to ours, except `FileNotFoundError` for a missing object."""
        bucket = place.bucket
        try:
            async with asyncio.timeout(self._config.transfer_s):
                yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise ProviderRejected(f"There is no bucket {bucket}.") from None
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise ProviderUnauthorized(
                f"S3 does not let us use bucket {bucket}: GetObject, PutObject, DeleteObject and "
                "ListBucket are needed."
            ) from error
        except (BaseError, OSError) as error:  # a TimeoutError is an OSError
            if "SlowDown" in str(error):
                raise ProviderRateLimited("S3 asks to slow down.") from error
            raise ProviderError(f"The bucket {bucket} is unreachable.") from error

"""Storage in a bucket: S3, Google Cloud, Azure, or compatible services."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import obstore
from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

from safelight.json_object import JsonObject
from safelight.storage.objects import ObjectStorage, typed_errors
from safelight.storage.place import Place
from safelight.storage.storage import Describe

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

# Each request transfers a few MiB; if storage fails for longer, the job waits with its result.
_CONNECT = timedelta(seconds=5)
_PATIENCE = timedelta(seconds=60)
_WELL_S = 10.0  # how long a successful probe counts
_RETRY: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}


class BucketStorage(ObjectStorage):
    """Storage in a bucket; objects carry their media type and caching for direct downloads."""

    def __init__(
        self, place: Place, describe: Describe, *, patience: timedelta = _PATIENCE
    ) -> None:
        """Open the bucket with the cloud's usual credentials, such as `AWS_…` variables.

        `patience` is the timeout of one request.
        """
        super().__init__(_open(place, patience))
        self._storage_class = place.storage_class
        self._well_until = float("-inf")
        self._describe = describe

    def _attributes(self, key: str) -> "Attributes":
        served = self._describe(key)
        attributes: Attributes = {
            "Content-Type": served.media_type,
            "Cache-Control": served.cache_control,
        }
        if self._storage_class:
            attributes["Storage-Class"] = self._storage_class
        return attributes

    async def check(self) -> None:
        # Load balancers probe each process every few seconds, and each write costs money.
        if time.monotonic() > self._well_until:
            await super().check()
            self._well_until = time.monotonic() + _WELL_S

    async def address(self, key: str, *, lifetime: timedelta) -> str | None:
        if isinstance(self._store, (S3Store, GCSStore, AzureStore)):
            with typed_errors(key):
                return await obstore.sign_async(self._store, "GET", key, lifetime)
        return None


def _open(place: Place, patience: timedelta) -> "ObjectStore":
    prefix = place.folder or None
    endpoint = place.config.get("endpoint", place.config.get("base_url", ""))
    client: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": _CONNECT,
        "timeout": patience,
    }
    if place.scheme == "memory":
        return MemoryStore()
    opener = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[place.scheme]
    config = cast("JsonObject", place.config)
    return opener(place.bucket, prefix=prefix, client_options=client, retry_config=_RETRY, **config)

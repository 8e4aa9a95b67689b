"""Purges removed files from CloudFront."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The AWS libraries have no types.

import hashlib
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from safelight.storage.errors import StorageFailed

# CloudFront allows 3,000 paths in progress, over all calls.
_MOST_PATHS = 1000
_CONFIG = AioConfig(connect_timeout=5, read_timeout=20, retries={"max_attempts": 3})


class CloudFrontCdn:
    """One distribution; uses AWS's usual credentials."""

    def __init__(self, distribution: str, files_url: str) -> None:
        self._distribution = distribution
        self._folder = urlsplit(files_url).path
        self._session = AioSession()

    async def forget(self, keys: Collection[str]) -> None:
        """Purge these objects; the caller reference makes the call idempotent."""
        paths = sorted(f"{self._folder}/{key}" for key in keys)
        if not paths:
            return
        try:
            # CloudFront is a global service with its API in us-east-1.
            opening: Any = self._session.create_client(
                "cloudfront", region_name="us-east-1", config=_CONFIG
            )
            async with opening as client:
                for begin in range(0, len(paths), _MOST_PATHS):
                    some = paths[begin : begin + _MOST_PATHS]
                    await client.create_invalidation(
                        DistributionId=self._distribution,
                        InvalidationBatch={
                            "Paths": {"Quantity": len(some), "Items": some},
                            "CallerReference": hashlib.sha256("\n".join(some).encode()).hexdigest(),
                        },
                    )
        except (BotoCoreError, ClientError, OSError, TimeoutError) as error:
            raise StorageFailed(f"CloudFront did not accept the purge: {error}") from error

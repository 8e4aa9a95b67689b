"""Makes the addresses of what is kept: for good where it is public, for a while where it is not."""

import time
from dataclasses import dataclass
from datetime import timedelta

from safelight.accounts import signing
from safelight.assets.keys import is_public


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses of one installation.

    `base_url` is that of the API, and `files_url` that of public objects, a CDN's where there is
    one; both without a slash at the end. `secret` signs addresses of private objects, which hold
    for `lifetime` at least and stay the same for a part of it, so that caches know them again.
    """

    base_url: str
    files_url: str
    secret: str
    lifetime: timedelta = timedelta(hours=1)

    def of(self, key: str) -> str:
        """Return the address of an object."""
        return f"{self.files_url}/{key}" if is_public(key) else self._signed(key)

    def download(self, key: str) -> str:
        """Return an address that browsers save under a name; always of this server itself."""
        if is_public(key):
            return f"{self.base_url}/files/{key}?download=1"
        return f"{self._signed(key)}&download=1"

    def until(self) -> int:
        """Return when an address that is made now ends, in seconds since 1970."""
        lifetime = int(self.lifetime.total_seconds())
        step = max(lifetime // 4, 1)
        return (int(time.time()) // step + 1) * step + lifetime

    def is_signed(self, key: str, until: int, signature: str) -> bool:
        """Say whether an address of a private object was made here and has not ended."""
        return time.time() < until and signing.is_signed(
            self.secret, _signed_text(key, until), signature
        )

    def _signed(self, key: str) -> str:
        until = self.until()
        signature = signing.sign(self.secret, _signed_text(key, until))
        return f"{self.base_url}/files/{key}?until={until}&sig={signature}"


def _signed_text(key: str, until: int) -> str:
    return f"{key}?until={until}"

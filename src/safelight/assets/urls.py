"""URLs of objects: permanent for public ones, signed and expiring for private ones."""

import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Self

from safelight.accounts import signing
from safelight.assets.keys import is_public


@dataclass(frozen=True, slots=True)
class Links:
    """Builds an installation's URLs.

    `base_url` is the API's, and `files_url` that of public objects, possibly a CDN's; both without
    trailing slash. `secret` signs URLs of private objects, which are valid for at least `lifetime`
    and stay the same for a part of it, so that caches work.
    """

    base_url: str
    files_url: str
    secret: str = field(repr=False)
    lifetime: timedelta = timedelta(hours=1)
    configured: str = ""  # the base URL that other processes know, if `base_url` is another

    def at(self, base: str) -> Self:
        """Return the links of the same server as reached at `base`."""
        own = f"{self.base_url}/files"
        files = f"{base}/files" if self.files_url == own else self.files_url
        return replace(self, base_url=base, files_url=files, configured=self.base_url)

    def canonical(self, url: str) -> str:
        """Return `url` as other processes know it if it is one of this server's files."""
        own = f"{self.base_url}/files/"
        if not self.configured or not url.startswith(own):
            return url
        return f"{self.configured}/files/{url.removeprefix(own)}"

    def of(self, key: str, account_id: str) -> str:
        """Return the URL of an account's object."""
        return f"{self.files_url}/{key}" if is_public(key) else self._signed(key, account_id)

    def download(self, key: str, account_id: str) -> str:
        """Return a URL that browsers download as a file; always on this server."""
        if is_public(key):
            return f"{self.base_url}/files/{key}?download=1"
        return f"{self._signed(key, account_id)}&download=1"

    def until(self) -> int:
        """Return when a URL signed now expires, in seconds since 1970."""
        lifetime = int(self.lifetime.total_seconds())
        step = max(lifetime // 4, 1)
        return (int(time.time()) // step + 1) * step + lifetime

    def is_signed(self, key: str, account_id: str, until: int, signature: str) -> bool:
        """Return whether a private object's URL is correctly signed and has not expired."""
        return time.time() < until and signing.is_signed(
            self.secret, _signed_text(key, account_id, until), signature
        )

    def _signed(self, key: str, account_id: str) -> str:
        text = _signed_text(key, account_id, self.until())
        return f"{self.base_url}/files/{text}&sig={signing.sign(self.secret, text)}"


def _signed_text(key: str, account_id: str, until: int) -> str:
    """Return the text that is signed; it names the account, whose suspension ends the URL."""
    return f"{key}?account={account_id}&until={until}"

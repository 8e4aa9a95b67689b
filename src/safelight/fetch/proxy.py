"""Where the egress proxy of a network is that has no other way out, and who it takes us for."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote_to_bytes, urlsplit


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that is spoken to in plain HTTP. Its text never shows the login."""

    host: str
    port: int
    login: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `http://[user:password@]host:port`, in which user and password may be escaped."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError("A proxy is given as http://[user:password@]host:port.")
        login = None
        if parts.username is not None:
            login = (unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or ""))
        return cls(parts.hostname, parts.port, login)

"""Address and credentials of the egress proxy."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote_to_bytes, urlsplit


@dataclass(frozen=True, slots=True)
class Proxy:
    """A plain HTTP proxy. Its repr omits the credentials."""

    host: str
    port: int
    login: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse `http://[user:password@]host:port`, with user and password percent-encoded."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError("A proxy must be given as http://[user:password@]host:port.")
        login = None
        if parts.username is not None:
            login = (unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or ""))
        return cls(parts.hostname, parts.port, login)

    @property
    def url(self) -> str:
        """The URL without the credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def authorization(self) -> str:
        """The value of `Proxy-Authorization`, empty without credentials."""
        return f"Basic {b64encode(b':'.join(self.login)).decode()}" if self.login else ""

"""Host names and origins that this server answers for: DNS rebinding and other sites get nothing.

A page of another site can reach this server under a name of its own, by pointing that name at this
machine. Browsers then send that name as Host, so unknown names are refused. A literal IP address
cannot be rebound and is always known.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from safelight.errors import Forbidden
from safelight.web.errors import Misdirected

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Hosts:
    """The public URL, further names and origins from the settings, and the address listened on."""

    public_url: str = ""
    allowed: frozenset[str] = frozenset()
    listens_on: str = "127.0.0.1"
    port: int = 8765
    cors_origins: tuple[str, ...] = ()  # of other sites, whose pages may send a key or token

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect, and no proxy is known to be in front."""
        return not self.public_url and is_loopback(self.listens_on)

    @property
    def prefix(self) -> str:
        """The path of the public URL, without a trailing slash; empty is none."""
        return urlsplit(self.public_url).path.rstrip("/")

    def is_public(self, host: str) -> bool:
        """Return whether `host`, a Host header, is the public URL's."""
        return _name(f"//{host}") == _name(self.public_url)

    def knows(self, host: str) -> bool:
        """Return whether `host`, a Host header, names this server."""
        name = _name(f"//{host}")
        if name is None:
            return False
        if is_loopback(name) or _is_address(name) or name == _name(self.public_url):
            return True
        return self._allows(name)

    def is_own_origin(self, origin: str, host: str) -> bool:
        """Return whether `origin`, an Origin header, is a page of the server called as `host`."""
        place = _place(origin)
        if place is None:
            return False
        name, port = place
        if place in (_place(self.public_url), _place(f"{origin.partition(':')[0]}://{host}")):
            return True
        if is_loopback(name):
            return port == self.port
        return self._allows(name) and port in (self.port, *_PORTS.values())

    def _allows(self, name: str) -> bool:
        return any(name == each or name.endswith(f".{each}") for each in self.allowed)

    def check(self, request: Request) -> None:
        """Raise `Misdirected` for an unknown host, `Forbidden` for a page of another site (CSRF).

        Only browsers need this, for the credentials that they attach by themselves.
        """
        host = request.headers.get("host", "")
        if host and not self.knows(host):
            raise misdirected(host)
        if request.method in _SAFE_METHODS:
            return
        site = request.headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            raise Forbidden("This request came from another site's page.")
        origin = request.headers.get("origin")
        if origin is not None and not self.is_own_origin(origin, host):
            raise Forbidden(
                "This request came from another site's page. If that is this server's own address "
                "behind a proxy, set SAFELIGHT_PUBLIC_URL to it."
            )


def misdirected(host: str) -> Misdirected:
    """Return the refusal of an unknown host, with the settings that make it known."""
    return Misdirected(
        f"{host[:100]!r} is not a known name of this server. Set SAFELIGHT_PUBLIC_URL to its "
        "public URL, or add the name to SAFELIGHT_ALLOWED_HOSTS."
    )


def _name(url: str) -> str | None:
    """Return the host name of a URL, in lower case."""
    try:
        name = urlsplit(url).hostname
    except ValueError:
        return None
    return name.removesuffix(".") if name else None


def _place(url: str) -> tuple[str, int] | None:
    """Return host name and port of a URL."""
    name = _name(url)
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (name, port) if name and port else None


def is_loopback(name: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    if name in _LOOPBACK or name.endswith(".localhost"):
        return True
    return _is_address(name) and ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

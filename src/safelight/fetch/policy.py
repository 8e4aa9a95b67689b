"""Limits on downloads: destinations, sizes and times."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from safelight.fetch.address import Address, Network, Reach, reach
from safelight.fetch.proxy import Proxy

MIB = 2**20

# An object key: folders and a name, with nothing that could escape them.
_KEY = re.compile(
    r"[a-z0-9_]+(?:/[a-z0-9_]+)*\.[a-z0-9]{2,5}(?:\?until=\d{1,12}&sig=[\w-]{22})?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """An installation's limits; times in seconds, sizes in bytes.

    `allow_networks` opens single private networks, `allow_private` all of them; neither opens
    metadata services. A host includes its subdomains; an empty `allow_hosts` means every host, and
    `deny_hosts` takes precedence. `own_files` is the URL prefix of this server's own public files:
    those, and nothing else on it, may be fetched wherever the server runs, and directly. All other
    requests go through `proxy`, if set. `max_pause_s` limits the pause a host may ask for.
    """

    allow_private: bool = False
    allow_networks: tuple[Network, ...] = ()
    allow_hosts: frozenset[str] = frozenset()
    deny_hosts: frozenset[str] = frozenset()
    own_files: str = ""
    proxy: Proxy | None = None
    ports: frozenset[int] = frozenset({80, 443, 8080, 8443})
    max_bytes: int = 100 * MIB
    total_s: float = 60.0
    idle_s: float = 15.0
    connect_s: float = 10.0
    max_redirects: int = 5
    per_host: int = 8
    max_pause_s: float = 600.0
    user_agent: str = "Safelight/1 (+image import)"

    @property
    def opens_private(self) -> bool:
        """Whether any private network is open, so that local names may be resolved."""
        return self.allow_private or bool(self.allow_networks)

    def allows_address(self, address: Address) -> bool:
        """Return whether connections to `address` are allowed."""
        far = reach(address)
        if far is not Reach.PRIVATE:
            return far is Reach.PUBLIC
        return self.allow_private or any(address in network for network in self.allow_networks)

    def is_own_file(self, url: str) -> bool:
        """Return whether `url` is one of this server's public files, in canonical form."""
        start = self.own_files
        return bool(start) and url.startswith(start) and bool(_KEY.fullmatch(url[len(start) :]))

    def is_own_server(self, host: str, port: int) -> bool:
        """Return whether `host` and `port` are those of `own_files`."""
        if not self.own_files:
            return False
        own = urlsplit(self.own_files)
        default = 443 if own.scheme == "https" else 80
        return (own.hostname, own.port or default) == (host, port)

    def allows_host(self, host: str) -> bool:
        """Return whether the host lists allow `host`, given in lower case."""
        if _listed(host, self.deny_hosts):
            return False
        return not self.allow_hosts or _listed(host, self.allow_hosts)


def _listed(host: str, names: frozenset[str]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in names)

"""What downloads may do: where to, how much, how long."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from safelight.fetch.address import Address, Network, Reach, reach
from safelight.fetch.proxy import Proxy

MIB = 2**20

# An object key: folders and a name, and nothing that could lead out of them.
_KEY = re.compile(
    r"[a-z0-9_]+(?:/[a-z0-9_]+)*\.[a-z0-9]{2,5}(?:\?until=\d{1,12}&sig=[\w-]{22})?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """One installation's limits; times in seconds, sizes in bytes.

    `allow_networks` opens single private networks, `allow_private` all of them; neither opens
    metadata services. Hosts stand for themselves and everything below them; an empty `allow_hosts`
    is every host, and `deny_hosts` wins. `own_files` is the address that this server's own public
    files begin with: they may be fetched wherever the server lies, and nothing beside them; never
    through `proxy`, which everything else goes through where there is one. A host that asks to be
    left alone is, for `max_pause_s` at most.
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
        """Whether any private network is open, so that its names are worth a look-up."""
        return self.allow_private or bool(self.allow_networks)

    def allows_address(self, address: Address) -> bool:
        """Say whether a connection may be opened to `address`."""
        far = reach(address)
        if far is not Reach.PRIVATE:
            return far is Reach.PUBLIC
        return self.allow_private or any(address in network for network in self.allow_networks)

    def is_own_file(self, url: str) -> bool:
        """Say whether `url` is one of this server's public files, spelled as it hands them out."""
        start = self.own_files
        return bool(start) and url.startswith(start) and bool(_KEY.fullmatch(url[len(start) :]))

    def is_own_server(self, host: str, port: int) -> bool:
        """Say whether `own_files` lie at `host` and `port`."""
        if not self.own_files:
            return False
        own = urlsplit(self.own_files)
        default = 443 if own.scheme == "https" else 80
        return (own.hostname, own.port or default) == (host, port)

    def allows_host(self, host: str) -> bool:
        """Say whether the lists of hosts admit `host`, given in lower case."""
        if _listed(host, self.deny_hosts):
            return False
        return not self.allow_hosts or _listed(host, self.allow_hosts)


def _listed(host: str, names: frozenset[str]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in names)

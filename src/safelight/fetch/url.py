"""Parses and checks URLs; the parsed URL is the one requested, so no two parsers can disagree.

A host that a resolver might read as an obfuscated IP address (`0x7f.1`, `127.1`, `2130706433`) is
always refused.
"""

import re
from ipaddress import IPv4Address, IPv6Address

import httpx2

from safelight.fetch.address import Address
from safelight.fetch.errors import UrlNotAllowed
from safelight.fetch.policy import FetchPolicy

REFUSAL = (
    "This address cannot be downloaded: it is malformed, does not exist "
    "or is not on the public internet."
)
_MAX_CHARS = 4096
_DEFAULT_PORTS = {"http": 80, "https": 443}

# Scheme, two slashes, a host without userinfo or percent signs, a plain port. This excludes all
# that parsers disagree about; only httpx2 parses the rest.
_SHAPE = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[^/?#@:%\[\]\\]+)(?::[0-9]{1,5})?(?:[/?#][^\\]*)?",
    re.IGNORECASE | re.ASCII,
)
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
    r"(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*",
    re.ASCII,
)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
# Names that resolve to the local machine or network (RFC 6761, 6762, 8375).
_LOCAL_NAMES = frozenset(
    {"localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa"}
)


def check_url(url: str, policy: FetchPolicy) -> None:
    """Raise `UrlNotAllowed` for URLs that can be refused without a DNS lookup or a connection."""
    parse(url, policy)


def parse(text: str, policy: FetchPolicy) -> httpx2.URL:
    """Return the URL to request, its host in lower case without trailing dot; raise if refused."""
    if policy.is_own_file(text):
        return httpx2.URL(text)
    if len(text) > _MAX_CHARS or not _SHAPE.fullmatch(text) or _has_hidden_characters(text):
        raise refusal()
    try:
        url = httpx2.URL(text)
        host = url.raw_host.decode("ascii").removesuffix(".")
        url = url.copy_with(host=host, fragment=None)
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        raise refusal() from None
    port = port_of(url)
    if url.userinfo or port not in policy.ports or not _host_is_allowed(host, policy):
        raise refusal()
    if policy.is_own_server(host, port):
        # Connections to this server skip the address check, so anything but its public files is
        # refused here, also by name.
        raise refusal()
    return url


def follow(base: httpx2.URL, location: str, policy: FetchPolicy) -> httpx2.URL:
    """Return the target of a redirect from `base`, checked like a caller's URL."""
    if _has_hidden_characters(location) or "\\" in location:
        raise refusal()
    try:
        target = str(base.join(location))
    except (httpx2.InvalidURL, ValueError):
        raise refusal() from None
    return parse(target, policy)


def literal(host: str) -> Address | None:
    """Return the IP address that `host` is, or None for a name."""
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(host)
        except ValueError:
            continue
    return None


def port_of(url: httpx2.URL) -> int:
    """Return the port, by default the scheme's."""
    return url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]


def refusal() -> UrlNotAllowed:
    """Return the error for every refusal; it reveals nothing about the internal network."""
    return UrlNotAllowed(REFUSAL)


def _has_hidden_characters(text: str) -> bool:
    # Control and format characters, and all white space except the space.
    return not text.isprintable()


def _host_is_allowed(host: str, policy: FetchPolicy) -> bool:
    address = literal(host)
    if address is not None:
        # In canonical form, so that no alternative spelling bypasses a list.
        return policy.allows_address(address) and policy.allows_host(str(address))
    if not _NAME.fullmatch(host) or _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        return False
    return policy.allows_host(host) and (policy.opens_private or not _is_local(host))


def _is_local(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)

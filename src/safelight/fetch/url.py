"""Reads and judges a URL: what this returns is what gets requested, so no two parsers disagree.

A host that any resolver might take for an address in disguise (`0x7f.1`, `127.1`, `2130706433`) is
refused whatever it stands for.
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

# Scheme, two slashes, a host without userinfo or percent signs, a plain port. Everything that makes
# parsers disagree stays outside; what is inside is read by httpx2 alone.
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
# Names that resolvers answer from the local machine or the local network (RFC 6761, 6762, 8375).
_LOCAL_NAMES = frozenset(
    {"localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa"}
)


def check_url(url: str, policy: FetchPolicy) -> None:
    """Raise `UrlNotAllowed` for what can be refused without a look-up; opens no connection."""
    parse(url, policy)


def parse(text: str, policy: FetchPolicy) -> httpx2.URL:
    """Return the URL to request, its host in lower case without a last dot, or refuse it."""
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
        # The connection to it is not judged by address, so whatever is no file must end here,
        # also when the server is known by a name.
        raise refusal()
    return url


def follow(base: httpx2.URL, location: str, policy: FetchPolicy) -> httpx2.URL:
    """Return where a redirect from `base` leads, judged like a URL that a caller gave."""
    if _has_hidden_characters(location) or "\\" in location:
        raise refusal()
    try:
        target = str(base.join(location))
    except (httpx2.InvalidURL, ValueError):
        raise refusal() from None
    return parse(target, policy)


def literal(host: str) -> Address | None:
    """Return the address that `host` spells out, or None for a name."""
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(host)
        except ValueError:
            continue
    return None


def port_of(url: httpx2.URL) -> int:
    """Return the port, also when the URL leaves it to the scheme."""
    return url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]


def refusal() -> UrlNotAllowed:
    """Return the one error of all refusals, so that none says what was found inside the network."""
    return UrlNotAllowed(REFUSAL)


def _has_hidden_characters(text: str) -> bool:
    # Control and format characters, and every kind of white space but the plain space.
    return not text.isprintable()


def _host_is_allowed(host: str, policy: FetchPolicy) -> bool:
    address = literal(host)
    if address is not None:
        # By its one canonical spelling, so that no other one slips past a list.
        return policy.allows_address(address) and policy.allows_host(str(address))
    if not _NAME.fullmatch(host) or _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        return False
    return policy.allows_host(host) and (policy.opens_private or not _is_local(host))


def _is_local(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)

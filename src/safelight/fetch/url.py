"""Parses and checks URLs; the parsed URL is the one requested, so no two parsers can disagree.

A host that a resolver might read as an obfuscated IP address (`0x7f.1`, `127.1`, `2130706433`) is
always refused.
"""

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address

import httpx2

from safelight.fetch.address import Address
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.refusal import (
    CREDENTIALS,
    HOST_LIST,
    MALFORMED,
    OWN_SERVER,
    SCHEME,
    Fault,
    address_fault,
    local_name_fault,
    port_fault,
    refusal,
)

_MAX_CHARS = 4096
_DEFAULT_PORTS = {"http": 80, "https": 443}

# Two slashes, a host without userinfo or percent signs, a plain port. This excludes all that
# parsers disagree about; only httpx2 parses the rest.
_SHAPE = re.compile(
    r"(?P<authority>https?://(?:\[[0-9a-f:.]+\]|[^/?#@:%\[\]\\]+)(?::[0-9]{1,5})?)(?:[/?#][^\\]*)?",
    re.IGNORECASE | re.ASCII,
)
_HTTP = re.compile(r"https?:", re.IGNORECASE | re.ASCII)
_CREDENTIALS = re.compile(r"[a-z]+://[^/?#\\]*@", re.IGNORECASE | re.ASCII)
# Categories that no address holds; other invisible characters are percent-encoded, as browsers do.
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
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
    _check_shape(text)
    try:
        url = httpx2.URL(text)
        host = url.raw_host.decode("ascii").removesuffix(".")
        url = url.copy_with(host=host, fragment=None)
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        raise refusal(MALFORMED) from None
    if url.userinfo:
        raise refusal(CREDENTIALS)
    port = port_of(url)
    if policy.is_own_server(host, port):
        # Connections to this server skip the address check, so anything but its public files is
        # refused here, also by name.
        raise refusal(OWN_SERVER)
    faults = [] if port in policy.ports else [port_fault(port)]
    faults += _host_faults(host, policy)
    if faults:
        raise refusal(*faults)
    return url


def follow(base: httpx2.URL, location: str, policy: FetchPolicy) -> httpx2.URL:
    """Return the target of a redirect from `base`, checked like a caller's URL."""
    if _is_unfit(location) or "\\" in location:
        raise refusal(MALFORMED)
    try:
        target = str(base.join(location))
    except (httpx2.InvalidURL, ValueError):
        raise refusal(MALFORMED) from None
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


def _is_unfit(text: str) -> bool:
    return any(unicodedata.category(letter) in _UNFIT for letter in text)


def _check_shape(text: str) -> None:
    if not _HTTP.match(text):
        raise refusal(SCHEME)
    if _CREDENTIALS.match(text):
        raise refusal(CREDENTIALS)
    shape = _SHAPE.fullmatch(text)
    # Invisible characters in a host are not encoded but dropped or mapped: one host could pass for
    # another.
    if shape is None or not shape["authority"].isprintable():
        raise refusal(MALFORMED)
    if len(text) > _MAX_CHARS or _is_unfit(text):
        raise refusal(MALFORMED)


def _host_faults(host: str, policy: FetchPolicy) -> list[Fault]:
    address = literal(host)
    if address is not None:
        if not policy.allows_address(address):
            return [address_fault(address)]
        # In canonical form, so that no alternative spelling bypasses a list.
        return [] if policy.allows_host(str(address)) else [HOST_LIST]
    if not _NAME.fullmatch(host) or _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        return [MALFORMED]
    if not policy.allows_host(host):
        return [HOST_LIST]
    return [] if policy.opens_private or not _is_local(host) else [local_name_fault(host)]


def _is_local(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)

"""Parses and checks URLs; the text that is requested is put together from the parts checked here.

A host that a resolver might read as an obfuscated IP address (`0x7f.1`, `127.1`, `2130706433`) is
always refused.
"""

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urljoin

import idna

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
# parsers disagree about.
_SHAPE = re.compile(
    r"(?P<authority>(?P<scheme>https?)://(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<host>[^/?#@:%\[\]\\]+))"
    r"(?::(?P<port>[0-9]{1,5}))?)(?P<path>/[^?#\\]*)?(?P<query>\?[^#\\]*)?(?:#[^\\]*)?",
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
# Spaces, delimiters and all outside ASCII; a percent sign that begins no escape.
_TO_ENCODE = re.compile(r"[^!$&'()*+,\-./0-9:;=?@A-Z\[\]^_a-z|~%#]+|%(?![0-9A-Fa-f]{2})")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
# Names that resolve to the local machine or network (RFC 6761, 6762, 8375).
_LOCAL_NAMES = frozenset(
    {"localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa"}
)


def check_url(url: str, policy: FetchPolicy) -> None:
    """Raise `UrlNotAllowed` for URLs that can be refused without a DNS lookup or a connection."""
    parse(url, policy)


@dataclass(frozen=True, slots=True)
class Url:
    """An address that a policy allows; only `parse` and `follow` make one.

    The host is in lower case, without trailing dot or brackets; path and query are
    percent-encoded.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str

    def __str__(self) -> str:
        """Return the text to request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}{self.query}"


def parse(text: str, policy: FetchPolicy) -> Url:
    """Return the URL to request; raise `UrlNotAllowed` if it is refused."""
    url = _read(text)
    if policy.is_own_file(text):
        return url
    if policy.is_own_server(url.host, url.port):
        # Connections to this server skip the address check, so anything but its public files is
        # refused here, also by name.
        raise refusal(OWN_SERVER)
    faults = [] if url.port in policy.ports else [port_fault(url.port)]
    faults += _host_faults(url.host, policy)
    if faults:
        raise refusal(*faults)
    return url


def follow(base: Url, location: str, policy: FetchPolicy) -> Url:
    """Return the target of a redirect from `base`, checked like a caller's URL."""
    if _is_unfit(location) or "\\" in location:
        raise refusal(MALFORMED)
    try:
        target = urljoin(str(base), location)
    except ValueError:
        raise refusal(MALFORMED) from None
    return parse(target, policy)


def encode(text: str) -> str:
    """Percent-encode a URL, or a part of one, where it needs that; escapes stay as they are."""
    return _TO_ENCODE.sub(lambda found: quote(found[0], safe=""), text)


def literal(host: str) -> Address | None:
    """Return the IP address that `host` is, or None for a name."""
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(host)
        except ValueError:
            continue
    return None


def _is_unfit(text: str) -> bool:
    return any(unicodedata.category(letter) in _UNFIT for letter in text)


def _read(text: str) -> Url:
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
    scheme = shape["scheme"].lower()
    return Url(
        scheme,
        _name(shape["host"]) if shape["host"] else _six(shape["six"]),
        int(shape["port"] or _DEFAULT_PORTS[scheme]),
        encode(_without_dots(shape["path"] or "/")),
        encode(shape["query"] or ""),
    )


def _name(host: str) -> str:
    try:
        named = host.lower() if host.isascii() else idna.encode(host.lower()).decode("ascii")
    except UnicodeError:
        raise refusal(MALFORMED) from None
    return named.removesuffix(".")


def _six(host: str) -> str:
    try:
        return str(IPv6Address(host))
    except ValueError:
        raise refusal(MALFORMED) from None


def _without_dots(path: str) -> str:
    """Return a path without the steps `.` and `..`, which not all servers understand."""
    steps = path.split("/")
    if "." not in steps and ".." not in steps:
        return path
    kept: list[str] = []
    for step in steps[1:]:
        if step == "..":
            kept = kept[:-1]
        elif step != ".":
            kept.append(step)
    return "/" + "/".join(kept)


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

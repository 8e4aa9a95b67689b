"""Refusals of addresses: which rule refused, and the setting by which an operator can allow it.

They name only parts of the address as given, never what a name resolves to or what answers there.
"""

from dataclasses import dataclass

from safelight.fetch.address import Address, Reach, reach
from safelight.fetch.errors import UrlNotAllowed

_LOOPBACK = "127.0.0.0/8,::1/128"


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule that an address breaks. `allow` is an edit of the settings, empty if none helps."""

    reason: str
    text: str
    allow: str = ""


MALFORMED = Fault("malformed", "The address is malformed.")
SCHEME = Fault("scheme", "Only addresses that begin with http:// or https:// are allowed.")
CREDENTIALS = Fault("credentials", "An address with a user name or password is not allowed.")
OWN_SERVER = Fault("own_server", "Only public files of this server can be fetched from it.")
HOST_LIST = Fault(
    "host",
    "This host is not allowed.",
    "change SAFELIGHT_FETCH_ALLOW_HOSTS or SAFELIGHT_FETCH_DENY_HOSTS",
)
UNRESOLVED = Fault("unresolved", "The host name does not resolve.")
RESERVED = Fault("reserved", "The address leads to a reserved network, which no setting allows.")
_PRIVATE_TEXT = "The address leads to a private network."
PRIVATE = Fault("private", _PRIVATE_TEXT, "add that network to SAFELIGHT_FETCH_ALLOW_NETWORKS")


def port_fault(port: int) -> Fault:
    """Return the fault of a port that is not listed."""
    return Fault("port", f"Port {port} is not allowed.", f"add {port} to SAFELIGHT_FETCH_PORTS")


def address_fault(address: Address) -> Fault:
    """Return the fault of a forbidden IP address that the URL spells out."""
    if reach(address) is Reach.NEVER:
        return RESERVED
    network = _LOOPBACK if address.is_loopback else f"{address}/{address.max_prefixlen}"
    return _private(network)


def local_name_fault(host: str) -> Fault:
    """Return the fault of a name that resolves within this machine or its network."""
    is_loopback = host == "localhost" or host.endswith(".localhost")
    return _private(_LOOPBACK) if is_loopback else PRIVATE


def refusal(*faults: Fault) -> UrlNotAllowed:
    """Return the error for `faults`; its `reason` is that of the first."""
    texts = [fault.text for fault in faults]
    edits = [fault.allow for fault in faults if fault.allow]
    # No edit helps while another fault has none.
    if len(edits) == len(faults):
        texts.append(f"An operator can allow it: {' and '.join(edits)}.")
    return UrlNotAllowed(" ".join(texts), reason=faults[0].reason)


def _private(network: str) -> Fault:
    return Fault("private", _PRIVATE_TEXT, f"add {network} to SAFELIGHT_FETCH_ALLOW_NETWORKS")

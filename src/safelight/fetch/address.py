"""Classifies IP addresses as public, private or forbidden, including embedded IPv4 addresses.

The tables follow IANA's special-purpose registries instead of `ipaddress.is_global`, whose answer
changes between Python releases and is True for NAT64, 6to4 and cloud metadata addresses.
"""

from collections.abc import Iterator
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Reach(IntEnum):
    """The destination of an address; higher is worse."""

    PUBLIC = 0
    PRIVATE = 1  # a private network: only if the policy allows it
    NEVER = 2  # metadata services, multicast, reserved: no policy allows it


_NEVER_4 = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),  # link-local, and the metadata service of most clouds
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.0.2.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv4Network("224.0.0.0/4"),
    IPv4Network("240.0.0.0/4"),
    IPv4Network("100.100.100.200/32"),  # Alibaba Cloud's metadata service
    IPv4Network("168.63.129.16/32"),  # Azure's host services, inside public space
)
_PRIVATE_4 = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),
)
_GLOBAL_6 = IPv6Network("2000::/3")
_NEVER_6 = (
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
    IPv6Network("fd00:ec2::254/128"),  # AWS's metadata service
    IPv6Network("fd00:c1::a9fe:a9fe/128"),  # Oracle Cloud's
    IPv6Network("fd20:ce::254/128"),  # Google Cloud's
)
_PRIVATE_6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))

_LOW_32_BITS = (1 << 32) - 1
_COMPATIBLE = IPv6Network("::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_CARRY_LAST = (
    IPv6Network("::ffff:0:0/96"),  # mapped
    IPv6Network("::ffff:0:0:0/96"),  # translated, RFC 2765
    IPv6Network("64:ff9b::/96"),  # NAT64
)
_CARRIERS = (*_CARRY_LAST, _SIX_TO_FOUR, _TEREDO)
_ISATAP = (0x00005EFE, 0x02005EFE)  # the third 32 bits of such an address, RFC 5214


def reach(address: Address) -> Reach:
    """Return the worst reach of `address` and every IPv4 address embedded in it."""
    if isinstance(address, IPv4Address):
        return _reach_4(address)
    return max((_reach_6(address), *map(_reach_4, embedded(address))))


def embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that a network could deliver `address` to."""
    number = int(address)
    last = IPv4Address(number & _LOW_32_BITS)
    if _within(address, _CARRY_LAST) or (address in _COMPATIBLE and number > 1):
        yield last
    elif address in _SIX_TO_FOUR:
        yield IPv4Address((number >> 80) & _LOW_32_BITS)
    elif address in _TEREDO:
        yield IPv4Address((number >> 64) & _LOW_32_BITS)
        yield IPv4Address(~number & _LOW_32_BITS)
    if (number >> 32) & _LOW_32_BITS in _ISATAP:
        yield last


def _reach_4(address: IPv4Address) -> Reach:
    if _within(address, _NEVER_4):
        return Reach.NEVER
    return Reach.PRIVATE if _within(address, _PRIVATE_4) else Reach.PUBLIC


def _reach_6(address: IPv6Address) -> Reach:
    if _within(address, _CARRIERS):
        return Reach.PUBLIC  # the embedded address decides
    if _within(address, _NEVER_6):
        return Reach.NEVER
    if _within(address, _PRIVATE_6):
        return Reach.PRIVATE
    return Reach.PUBLIC if address in _GLOBAL_6 else Reach.NEVER


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)

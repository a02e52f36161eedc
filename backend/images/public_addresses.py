"""Which IP addresses are on the public internet, so that images may be fetched from them.

`ipaddress` calls some special ranges global: they lead into a network by a translator (NAT64), are
local ones of former standards (`fec0::/10`), or hold an IPv4 address that it does not look at.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

RELAYS: Final = IPv4Network("192.88.99.0/24")
"""Relays from 6to4 to IPv6 (RFC 7526: no longer used)."""

UNICAST: Final = IPv6Network("2000::/3")
"""What IANA gives to networks of the internet; all else is special, or nobody's yet."""

NOT_UNICAST: Final = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocols: Teredo, benchmarks, ORCHID, …
        "2001:db8::/32",  # examples in documents
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",  # examples in documents
    )
)


def is_public(address: Address) -> bool:
    """Tell whether an address is on the public internet; one of IPv4 inside of IPv6 never is.

    The exception is `::ffff:a.b.c.d`, which is how sockets write an IPv4 address.
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address not in UNICAST or any(address in network for network in NOT_UNICAST):
            return False
    elif address in RELAYS:
        return False
    return address.is_global and not address.is_multicast

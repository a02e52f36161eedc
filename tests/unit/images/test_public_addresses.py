"""No address leads into a network that is not the public internet, whatever Python calls it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from backend.images.public_addresses import is_public

LOCAL = {
    "this host": ("127.0.0.1", "::1", "0.0.0.0", "::"),
    "private networks": ("10.1.2.3", "172.16.0.1", "192.168.1.1", "fc00::1"),
    "one link": ("169.254.169.254", "fe80::1"),
    "a carrier": ("100.64.0.1",),
    "many hosts": ("224.0.0.1", "255.255.255.255", "ff02::1", "ff0e::1"),
    "no use yet": ("240.0.0.1", "4000::1", "5f00::1", "e000::1"),
    "documents": ("192.0.2.1", "2001:db8::1", "3fff::1"),
    "benchmarks": ("198.18.0.1", "2001:2::1"),
    "IPv4 inside of IPv6": ("::ffff:10.0.0.1", "::10.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1"),
    "translators": ("64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::1", "64:ff9b:1:a::1"),
    "tunnels": ("2002:7f00:1::", "2002:808:808::", "2001::1", "192.88.99.1"),
    "former sites": ("fec0::1", "feff::1"),
    "nowhere": ("100::1",),
}
PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "2a00:1450:4001:82b::200e")


@pytest.mark.parametrize("addresses", LOCAL.values(), ids=LOCAL)
def test_special_addresses_are_refused(addresses: tuple[str, ...]) -> None:
    assert not [address for address in addresses if is_public(ip_address(address))]


@pytest.mark.parametrize("address", [*PUBLIC, "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_allowed(address: str) -> None:
    assert is_public(ip_address(address))

"""Addresses that a pile may dial from, as staff write them: "10.0.0.0/8, 1.2.3.4". Pure."""

from __future__ import annotations

import functools
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


@functools.lru_cache(maxsize=4_096)
def parse(text: str) -> tuple[Network, ...]:
    """Return the networks of a text, separated by commas or blanks; a single address is a network of one.

    Raises ValueError, which names the part that is no network.
    """
    return tuple(ip_network(part, strict=False) for part in text.replace(",", " ").split())


def allows(text: str, address: str) -> bool:
    """Whether an address is in one of the networks; an empty text allows any, a text that is none nobody."""
    if not text.strip():
        return True
    try:
        found, networks = ip_address(address), parse(text)
    except ValueError:
        return False
    return any(found in network for network in networks if network.version == found.version)

"""Which addresses are public: the rest belong to this machine, its network or nobody.

The ranges are those of IANA's registries of special-purpose addresses (November 2026). They are
listed here because the answers of Python's `ipaddress` differ between releases.
"""

from __future__ import annotations

import functools
import ipaddress

_SPECIAL_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip

#: All of IPv6 that is in use; and what is special in it: Teredo and other protocols, documentation,
#: 6to4.
_GLOBAL_V6 = "2000::/3"
_SPECIAL_V6 = ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

#: IPv6 addresses that stand for an IPv4 address, their last 32 bits: mapped, and by NAT64, through
#: which machines without IPv4 reach public servers.
_HOLD_V4 = ("::ffff:0:0/96", "64:ff9b::/96")


def is_public(address: str) -> bool:
    """Return whether an IP address is that of a public server.

    Args:
        address: as text, without a port; of IPv6 with or without a zone.

    Raises:
        ValueError: it is not an IP address.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        holds, whole, special = _networks_v6()
        if any(found in network for network in holds):
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        else:
            return found in whole and not any(found in network for network in special)
    return not any(found in network for network in _networks_v4())


@functools.cache
def _networks_v4() -> tuple[ipaddress.IPv4Network, ...]:
    return tuple(map(ipaddress.IPv4Network, _SPECIAL_V4))


@functools.cache
def _networks_v6() -> tuple[
    tuple[ipaddress.IPv6Network, ...], ipaddress.IPv6Network, tuple[ipaddress.IPv6Network, ...]
]:
    network = ipaddress.IPv6Network
    return tuple(map(network, _HOLD_V4)), network(_GLOBAL_V6), tuple(map(network, _SPECIAL_V6))

"""Under which addresses other machines reach this one.

IPv4 only: a machine's addresses of IPv6 change by themselves every day (RFC 8981), and a certificate that names them would with them.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, ip_address

import psutil

_ELSEWHERE = ("192.0.2.1", 9)
"""An address of documentation, RFC 5737: nothing is sent to it."""


def own_addresses() -> list[IPv4Address]:
    """Of all networks that this machine is in, this machine's own too."""
    told = [
        IPv4Address(each.address) for addresses in psutil.net_if_addrs().values() for each in addresses if each.family == socket.AF_INET
    ]
    return sorted(set(told))


def lan_address() -> IPv4Address | None:
    """The one by which this machine reaches others, else the first that others may know. None: it is in no network."""
    seen_by_others = [address for address in own_addresses() if not address.is_loopback]
    routed = _routed()
    return routed if routed in seen_by_others else next(iter(seen_by_others), None)


def _routed() -> IPv4Address | None:
    """The address that the system would send from: connecting a socket of UDP asks it, and sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(_ELSEWHERE)
        except OSError:
            return None
        address = ip_address(asking.getsockname()[0])
    return address if isinstance(address, IPv4Address) else None

"""Where OpenTrackIO is received: on loopback, or from a multicast group of its own."""

from __future__ import annotations

import re
import socket
from ipaddress import AddressValueError, IPv4Address

from msgspec import Struct

from agents.parts.tracking.opentrackio import SOURCES
from bus.settings import BadSettings

_WRITTEN = re.compile(r"([0-9.]{7,15}):([0-9]{1,5})")
_GROUPS = IPv4Address("239.135.1.0")
"""OpenTrackIO 1.0.1: the group of source number n is n behind it."""


class Address(Struct, frozen=True):
    """An IPv4 address and port of UDP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_address(written: str) -> Address:
    """What `xr.opentrackio` says. Raises BadSettings."""
    match = _WRITTEN.fullmatch(written)
    if match is None or not _is_ours(match[1]) or int(match[2]) >= 1 << 16:
        raise BadSettings(
            f"xr.opentrackio is {written!r}: want 127.0.0.1:55555, or a multicast group from 239.135.1.1 to 239.135.1.{SOURCES} and a port"
        )
    return Address(match[1], int(match[2]))


def bound(address: Address) -> socket.socket:
    """A socket that receives there, and never waits; a group is joined on the interface that leads to it. Raises OSError."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        if IPv4Address(address.host).is_multicast:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # others may receive the group, too
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(address.host) + socket.inet_aton("0.0.0.0"))
        opened.bind((address.host, address.port))
    except OSError:
        opened.close()
        raise
    return opened


def _is_ours(host: str) -> bool:
    try:
        address = IPv4Address(host)
    except AddressValueError:
        return False
    return address.is_loopback or 0 < int(address) - int(_GROUPS) <= SOURCES

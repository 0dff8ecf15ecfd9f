"""The hub's four addresses: two planes, each with a side for publishers and one for subscribers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from bus.home import Home
from bus.topic import Delivery


@dataclass(frozen=True, slots=True)
class Plane:
    """Publishers connect to `inlet`, subscribers to `outlet`."""

    inlet: str
    outlet: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Durable and control traffic travels on `events`, LATEST topics on `latest`, so that a pose never waits behind a backlog."""

    events: Plane
    latest: Plane

    def plane(self, delivery: Delivery) -> Plane:
        return self.latest if delivery is Delivery.LATEST else self.events


def ipc_addresses(home: Home) -> Addresses:
    """The sockets in the run folder of `home`."""
    folder = home.sockets()
    return Addresses(*(Plane(f"ipc://{folder}/{name}.in", f"ipc://{folder}/{name}.out") for name in ("events", "latest")))


def tcp_addresses(url: str) -> Addresses:
    """The four ports from `tcp://ADDRESS:PORT` upwards. Raises ValueError for an address that is not loopback: there are no keys yet."""
    parts = urlsplit(url)
    if parts.scheme != "tcp" or not parts.hostname or not parts.port or parts.port > 65532:
        raise ValueError(f"hub address {url!r}: want tcp://127.0.0.1:PORT")
    if not _is_loopback(parts.hostname):
        raise ValueError(f"hub address {url!r} is not loopback: other machines could then publish, and keys do not exist yet")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    ports = [f"tcp://{host}:{parts.port + offset}" for offset in range(4)]
    return Addresses(Plane(ports[0], ports[1]), Plane(ports[2], ports[3]))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

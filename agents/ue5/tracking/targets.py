"""Where live poses are sent: only where a person has said so, one address for each protocol."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Literal

from msgspec import Struct

from agents.parts.tracking.opentrackio_packet import Encoding
from bus.settings import BadSettings

Protocol = Literal["opentrackio", "freed", "osc"]

FASTEST = 1000.0
"""Poses a second."""

_WRITTEN = re.compile(r"([0-9.]{7,15}):([0-9]{1,5})")
_GROUPS = IPv4Network("239.135.1.0/24")
"""OpenTrackIO's, one for each source number."""


class Target(Struct, frozen=True, kw_only=True):
    """An IPv4 address, and how many poses of one camera go there a second at most."""

    host: str
    port: int
    rate: float

    def __str__(self) -> str:
        return f"{self.host}:{self.port}, {self.rate:g} Hz"


class Targets(Struct, frozen=True, kw_only=True):
    """Null: nothing is sent that way. `cameras` are labels in the order of their numbers, which FreeD and OpenTrackIO send, from 1.

    Other cameras are numbered after these, as they come.
    """

    opentrackio: Target | None = None
    freed: Target | None = None
    osc: Target | None = None
    cameras: tuple[str, ...] = ()
    encoding: Encoding = "json"

    @property
    def asked(self) -> Mapping[Protocol, Target]:
        """Those that there are."""
        every: dict[Protocol, Target | None] = {"opentrackio": self.opentrackio, "freed": self.freed, "osc": self.osc}
        return {protocol: target for protocol, target in every.items() if target is not None}


def parse_target(setting: str, written: str, rate: float) -> Target:
    """The target that `setting` names as `127.0.0.1:55555`. Raises BadSettings."""
    match = _WRITTEN.fullmatch(written)
    host, port = (_host(match[1]), int(match[2])) if match else (None, 0)
    if host is None or not 0 < port < 1 << 16:
        raise BadSettings(
            f"{setting} is {written!r}: want the IPv4 address and port of one receiver or multicast group, as 127.0.0.1:55555"
        )
    if not (math.isfinite(rate) and 0 < rate <= FASTEST):
        raise BadSettings(f"{setting} at {rate} Hz: want a rate above 0, at most {FASTEST:g}")
    return Target(host=host, port=port, rate=rate)


def source(target: Target, number: int) -> tuple[str, int]:
    """The host and source number of camera `number` by OpenTrackIO. Each source has its own multicast group, from the target's on."""
    address = IPv4Address(target.host)
    if address not in _GROUPS:
        return target.host, number
    shifted = int(address) - int(_GROUPS.network_address) + number - 1
    return f"{_GROUPS.network_address + shifted}", shifted


def _host(written: str) -> str | None:
    """The address, if somebody can be there: not 0.0.0.0, and not broadcast or what else is reserved."""
    try:
        address = IPv4Address(written)
    except AddressValueError:
        return None
    return None if address.is_unspecified or address.is_reserved else str(address)

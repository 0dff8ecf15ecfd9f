"""Where an engine may be: the address that somebody gave, else Unreal at its own port, else the embedded engine where it says it serves."""

from __future__ import annotations

import re
from ipaddress import ip_address

from msgspec import Struct

from agents.parts.remote_control import HTTP_PORT, WEBSOCKET_PORT
from schemas import engine

EMBEDDED = "embedded-"
"""What the version of every engine begins with that is not Unreal."""
_ADDRESS = re.compile(r"(?:(?:https?|ws)://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})/?")


class BadAddress(ValueError):
    """Text that is no address; the message says what one looks like."""


class Address(Struct, frozen=True):
    """Where Remote Control is answered."""

    host: str
    http: int
    websocket: int

    @property
    def http_url(self) -> str:
        return f"http://{self.host}:{self.http}"

    @property
    def websocket_url(self) -> str:
        return f"ws://{self.host}:{self.websocket}"

    def __str__(self) -> str:
        return f"{self.host}:{self.http}"


class Candidate(Struct, frozen=True):
    """An address to look at. `given`: a person named it; `unreal_only`: an embedded engine there is somebody else's."""

    address: Address
    given: bool = False
    unreal_only: bool = False

    def takes(self, version: str) -> bool:
        return not (self.unreal_only and is_embedded(version))


UNREAL = Address("127.0.0.1", HTTP_PORT, WEBSOCKET_PORT)


def parse_address(text: str) -> Address:
    """`127.0.0.1:30010`: the WebSocket's port is ten above, as Unreal's are. Raises BadAddress."""
    host, port = _parts(text)
    return Address(host, port, port + WEBSOCKET_PORT - HTTP_PORT)


def candidates(configured: Address | None, serving: engine.Serving | None) -> list[Candidate]:
    """Where to look, in this order. Raises BadAddress where an engine says that it serves at what is no address of this machine."""
    if configured is not None:
        return [Candidate(configured, given=True)]
    announced = [] if serving is None else [Candidate(_announced(serving))]
    return [Candidate(UNREAL, unreal_only=True), *announced]


def is_embedded(version: str) -> bool:
    return version.startswith(EMBEDDED)


def is_loopback(host: str) -> bool:
    """Whether a host, as an address has it, is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _announced(serving: engine.Serving) -> Address:
    host, port = _parts(serving.http)
    if not is_loopback(host):
        raise BadAddress(
            f"an engine says that it serves at {serving.http}: off this machine only an address that ue5.address names is used"
        )
    return Address(host, port, _parts(serving.websocket)[1])


def _parts(text: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise BadAddress(f"{text!r} is no address: want one as 127.0.0.1:{HTTP_PORT}")
    return match[1], int(match[2])

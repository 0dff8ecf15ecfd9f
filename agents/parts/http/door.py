"""A port of this machine at which an agent answers HTTP."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address

import structlog

from agents.parts.http.gate import BEARER, Address, Gate, Proof

SHORTEST_TOKEN = 16

_log = structlog.get_logger()


class BadDoor(ValueError):
    """No server may or can listen here; the message says why."""


@dataclass(frozen=True, slots=True)
class Door:
    """A socket that listens: who connects waits until somebody serves it, by TLS where there is a certificate for it."""

    socket: socket.socket
    gate: Gate
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return self.gate.url


def open_door(host: str, port: int, token: str | None = None, proof: Proof = BEARER) -> Door:
    """Listen at an address of this machine; where the port is taken, at one that the system chooses.

    Raises BadDoor, also where others than users of this machine could come in without a token.
    """
    address = _address(host)
    if not address.is_loopback and token is None:
        raise BadDoor(
            f"host {host} opens this to other machines: set a {proof.secret} of {SHORTEST_TOKEN} characters or more, or use 127.0.0.1"
        )
    if token is not None and not (len(token) >= SHORTEST_TOKEN and token.isascii() and token.isprintable() and " " not in token):
        raise BadDoor(
            f"the {proof.secret} is no {SHORTEST_TOKEN} or more printable characters of ASCII: take the output of `openssl rand -hex 16`"
        )
    listening = _listen(address, port)
    return Door(listening, Gate(address=address, port=listening.getsockname()[1], token=token, proof=proof))


def open_paired_door(host: str, port: int, tls: ssl.SSLContext) -> Door:
    """Listen for HTTPS at an address of this machine, as `open_door` does.

    Others than users of this machine may come here: what answers behind this door must itself let in only who was paired. Raises BadDoor.
    """
    address = _address(host)
    listening = _listen(address, port)
    return Door(listening, Gate(address=address, port=listening.getsockname()[1], scheme="https"), tls)


def _address(host: str) -> Address:
    if "%" in host:
        raise BadDoor(f"host {host!r} names a network interface: take an address without one")
    try:
        return ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise BadDoor(f"host {host!r} is no IP address: take 127.0.0.1, or an address of this machine") from None


def _listen(address: Address, port: int) -> socket.socket:
    """Raises BadDoor."""
    try:
        return _bound(address, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            hint = "; take an address of this machine, or 0.0.0.0 for all of them" if error.errno == errno.EADDRNOTAVAIL else ""
            raise BadDoor(f"nothing can listen at {address}, port {port}: {error.strerror}{hint}") from error
    _log.warning("the port is taken: listening at another one", port=port)
    return _bound(address, 0)


def _bound(address: Address, port: int) -> socket.socket:
    """A socket that listens. Raises OSError.

    It says that it is TCP: asyncio sets TCP_NODELAY only then, without which an answer's second part waits 40 ms for an acknowledgement.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(address), port))
        made.listen()
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made

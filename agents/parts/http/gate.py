"""Which requests a door is open to, by their headers: to whom they were sent, from where, and by whom."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from agents.parts.http.asgi import Scope

Address = IPv4Address | IPv6Address
Scheme = Literal["http", "https"]

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?", re.ASCII)
_PORTS: dict[Scheme, int] = {"http": 80, "https": 443}
"""That a URL need not name."""

HEAD_BYTES = 16 << 10
"""Of a request's path and headers at most. A server looks whether they are longer only while they are not whole."""
TOLD = 64
"""Letters at most of what a client sent, in the error that it gets."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered: an HTTP status, and what was wrong."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Proof:
    """How a client proves that it may come in: by a secret in a header (in small letters), behind a word, if any."""

    secret: str
    header: bytes
    scheme: str
    told: str

    def value_of(self, sent: str) -> str:
        """What a header's value names; empty: nothing."""
        if not self.scheme:
            return sent.strip()
        scheme, _, credentials = sent.partition(" ")
        return credentials.strip() if scheme.lower() == self.scheme else ""


BEARER = Proof("token", b"authorization", "bearer", "Authorization: Bearer TOKEN")
"""https://www.rfc-editor.org/rfc/rfc6750#section-2.1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A door's address and port, what is spoken there, and the token that everybody must name, if there is one, and how.

    A page that somebody visits can have its browser send requests here. Its name may even be turned into this address (DNS rebinding):
    then the browser takes us for that page's own server, but still sends its name as Host. So a Host must be an address of ours, or
    `localhost`, and an Origin the one that pages from here have.
    """

    address: Address
    port: int
    token: str | None = None
    proof: Proof = BEARER
    scheme: Scheme = "http"

    @property
    def authority(self) -> str:
        """Under which a client on this machine reaches the door."""
        name = "localhost" if self.address.is_unspecified else f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{name}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}"

    def refusal(self, scope: Scope) -> Refusal | None:
        """What speaks against an ASGI request or WebSocket. None: nothing."""
        if _head_bytes(scope) > HEAD_BYTES:
            return Refusal(431, f"path and headers are longer than {HEAD_BYTES} bytes")
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not self._is_here(hosts[0]):
            return Refusal(421, f"this is no server of {(', '.join(hosts) or 'no host')[:TOLD]!r}: ask for {self.url}")
        foreign = [origin for origin in _values(scope, b"origin") if origin != f"{self.scheme}://{hosts[0]}"]
        if foreign:
            return Refusal(403, f"pages of {foreign[0][:TOLD]!r} may not ask here")
        if "cross-site" in _values(scope, b"sec-fetch-site"):
            return Refusal(403, "pages of other sites may not ask here")
        if self.token is not None and not self._is_proven(_raw_values(scope, self.proof.header), self.token):
            return Refusal(401, f"the {self.proof.secret} is missing or wrong: send it as {self.proof.told}")
        return None

    def _is_proven(self, sent: list[str], token: str) -> bool:
        """Whether a request names the token, found out in the same time however much of it is right."""
        return len(sent) == 1 and hmac.compare_digest(self.proof.value_of(sent[0]).encode("latin-1"), token.encode())

    def _is_here(self, host: str) -> bool:
        parts = _HOST.fullmatch(host)
        if parts is None or int(parts[2] or _PORTS[self.scheme]) != self.port:
            return False
        open_to_all = self.address.is_unspecified
        if parts[1] == "localhost":
            return self.address.is_loopback or open_to_all
        try:
            address = ip_address(parts[1].strip("[]"))
        except ValueError:
            return False
        return open_to_all or address == self.address  # no name can be rebound where an address is asked for


def _head_bytes(scope: Scope) -> int:
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return headers + len(scope["raw_path"]) + len(scope["query_string"])


def _values(scope: Scope, name: bytes) -> list[str]:
    """A header's values in lower case."""
    return [value.lower() for value in _raw_values(scope, name)]


def _raw_values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]

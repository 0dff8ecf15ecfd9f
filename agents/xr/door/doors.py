"""The agent's two doors: HTTP on loopback, and HTTPS for headsets in the LAN, where a setting opens it."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from agents.parts.http.door import Door, open_door, open_paired_door
from agents.parts.http.gate import Address
from agents.parts.http.serving import Serving
from agents.xr.door.addresses import lan_address, own_addresses
from agents.xr.door.admission import Admission
from agents.xr.door.answers import guarded
from agents.xr.door.certificate import Certificate, Names, keep_certificate, names_of
from agents.xr.door.key import draw_key, keep_key
from agents.xr.door.metrics import Collect, Metrics
from agents.xr.door.pairing import Pairing
from agents.xr.door.pictures import Frames, Pictures
from agents.xr.door.private import make_private_folder
from agents.xr.door.qr import qr_lines
from agents.xr.door.site import Site
from agents.xr.door.stream import MESSAGE_BYTES, Streams
from agents.xr.door.visitor import Welcome
from agents.xr.settings import XrSettings
from schemas import xr

LOOPBACK = "127.0.0.1"


class NoLan(RuntimeError):
    """There is no door for who is to be paired; the message says how to open one."""


@dataclass(frozen=True, slots=True)
class _Lan:
    """The door of the LAN, and who may come in there."""

    door: Door
    certificate: Certificate
    pairing: Pairing
    admission: Admission

    @property
    def url(self) -> str:
        """By an address that other machines know, the one that this machine has now."""
        address = lan_address() if self.door.gate.address.is_unspecified else None
        return self.door.url if address is None else f"https://{address}:{self.door.gate.port}"


class Doors:
    """Both, from `open` to `close`. Keys lie in `folder`."""

    def __init__(self, settings: XrSettings, folder: Path, welcome: Welcome, frames: Frames, collect: Collect) -> None:
        self._settings, self._folder = settings, folder
        self._streams = Streams(welcome)
        self._site = Site(self._streams, Pictures(frames), Metrics(collect))
        self._loopback: Door | None = None
        self._lan: _Lan | None = None
        self._servings: list[Serving] = []

    @property
    def page(self) -> str | None:
        """Where the page is for browsers on this machine."""
        return None if self._loopback is None else self._loopback.url

    @property
    def lan(self) -> str | None:
        """Where it is for all others. None: nowhere."""
        return None if self._lan is None else self._lan.url

    @property
    def fingerprint(self) -> str | None:
        """The SHA-256 of the certificate that browsers see there."""
        return None if self._lan is None else self._lan.certificate.fingerprint

    @property
    def refused(self) -> Counter[str]:
        """How often messages of pages were not taken, by reason."""
        return self._streams.refused

    async def open(self) -> None:
        """Serve from now on. Raises BadDoor, NotPrivate, OSError."""
        if self._settings.lan:
            self._lan = await asyncio.to_thread(self._open_lan, self._settings.lan)
            self._servings.append(Serving(self._lan.door, guarded(self._lan.admission, self._lan.door.gate), MESSAGE_BYTES))
        self._loopback = open_door(LOOPBACK, self._settings.port)
        self._servings.append(Serving(self._loopback, guarded(self._site.application(), self._loopback.gate), MESSAGE_BYTES))
        for serving in self._servings:
            await serving.open()

    async def close(self) -> None:
        """Take no more requests, and end those that there are, in a second at most."""
        await asyncio.gather(*(serving.close() for serving in self._servings))

    async def pair(self, forget: bool) -> xr.Pairing:
        """Let one more browser in; with `forget`, none that came before. Raises NoLan, OSError."""
        if self._lan is None:
            raise NoLan("no headset gets here: set xr.lan to 0.0.0.0, or to an address of this machine in the headset's network")
        if forget:
            self._lan.pairing.forget(await asyncio.to_thread(draw_key, self._folder))
            self._lan.admission.dismiss()
        invitation = self._lan.pairing.invite()
        url = f"{self._lan.url}/#pair={invitation.token}"
        return xr.Pairing(url=url, expires=invitation.expires, fingerprint=self._lan.certificate.fingerprint, qr=qr_lines(url))

    def _open_lan(self, host: str) -> _Lan:
        """Raises as `open` does."""
        make_private_folder(self._folder)
        certificate = keep_certificate(self._folder, _names(host), datetime.now(UTC))
        pairing = Pairing(keep_key(self._folder))
        door = open_paired_door(host, self._settings.lan_port, certificate.context())
        return _Lan(door, certificate, pairing, Admission(self._site, pairing, door.gate.port))


def _names(host: str) -> Names:
    """What the certificate of a door at `host` is for."""
    given: list[Address] = []
    with suppress(ValueError):  # of what is no address, the door says so itself
        given = [ip_address(host)]
    return names_of([socket.gethostname()], [*own_addresses(), *(address for address in given if not address.is_unspecified)])

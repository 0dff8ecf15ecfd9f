"""What can be set of the bridge to Unreal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from agents.parts.secret import read_secret
from agents.parts.tracking.opentrackio_packet import Encoding
from agents.ue5.connection.discovery import Address, BadAddress, parse_address
from agents.ue5.tracking.targets import Targets, parse_target
from bus.settings import BadSettings

Rate = Annotated[float, Meta(gt=0, le=1000)]


class Ue5Settings(Struct, frozen=True, kw_only=True):
    """`address`: where the engine answers HTTP (`127.0.0.1:30010`); empty: Unreal at its own port, else the embedded engine.

    Moves go `hz` times a second at most while the engine does not keep up. `passphrase_file` holds what Remote Control is to be told,
    as it stands there. Live camera poses go to `opentrackio`, `freed` and `osc` (`127.0.0.1:40000`; empty: nowhere), each at its own rate;
    `tracked` are the labels of cameras 1, 2, … with spaces between them, and other cameras follow as they come.
    `export_at_end`: the scene is exported when the engine is lost, and when the bridge ends.
    """

    address: str = ""
    hz: Rate = 60.0
    passphrase_file: str | None = None
    opentrackio: str = ""
    opentrackio_hz: Rate = 60.0
    freed: str = ""
    freed_hz: Rate = 60.0
    osc: str = ""
    osc_hz: Rate = 60.0
    opentrackio_encoding: Encoding = "json"
    tracked: str = ""
    export_at_end: bool = True

    @property
    def configured(self) -> Address | None:
        """Raises BadSettings."""
        try:
            return parse_address(self.address) if self.address else None
        except BadAddress as error:
            raise BadSettings(f"ue5.address: {error}") from error

    @property
    def passphrase(self) -> str | None:
        """What the engine is told, without white space around it. Raises BadSettings."""
        if self.passphrase_file is None:
            return None
        secret = read_secret("ue5.passphrase_file", Path(self.passphrase_file))
        if not secret.isprintable():
            raise BadSettings(f"ue5.passphrase_file: {self.passphrase_file} is to hold one line of text")
        return secret

    @property
    def targets(self) -> Targets:
        """Raises BadSettings."""
        return Targets(
            opentrackio=parse_target("ue5.opentrackio", self.opentrackio, self.opentrackio_hz) if self.opentrackio else None,
            freed=parse_target("ue5.freed", self.freed, self.freed_hz) if self.freed else None,
            osc=parse_target("ue5.osc", self.osc, self.osc_hz) if self.osc else None,
            cameras=tuple(self.tracked.split()),
            encoding=self.opentrackio_encoding,
        )

    @property
    def described(self) -> dict[str, str]:
        """What an export says of them: no file name, which may be a secret's."""
        return {"address": self.address or "found", "hz": f"{self.hz:g}"}

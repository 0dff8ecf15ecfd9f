"""What can be set of the pose streamer."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.xr import Device

Port = Annotated[int, Meta(ge=0, le=65535)]


class XrSettings(Struct, frozen=True, kw_only=True):
    """The page is at `port` on loopback. `lan` is the address of this machine (`0.0.0.0`: all) at which headsets get it by HTTPS, at
    `lan_port`, once they are paired; empty: nowhere. A taken port yields another one.

    `opentrackio` is where OpenTrackIO is received (`127.0.0.1:55555`, or a multicast group `239.135.1.1:55555`), as the poses of
    `opentrackio_device`; empty: nowhere.
    """

    port: Port = 8480
    lan: str = ""
    lan_port: Port = 8481
    opentrackio: str = ""
    opentrackio_device: Device = "head"

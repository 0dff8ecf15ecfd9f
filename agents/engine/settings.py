"""What can be set of the embedded engine."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from agents.parts.remote_control import HTTP_PORT, WEBSOCKET_PORT

Port = Annotated[int, Meta(ge=0, le=65535)]
Pixels = Annotated[int, Meta(ge=16, le=4096)]


class EngineSettings(Struct, frozen=True, kw_only=True):
    """`scene`: a .json, .gltf or .glb file; not given: the one made by code, with `bodies` bodies.

    `renderer`: `gl` is OpenGL without a screen, `software` Panda3D's own; `auto` takes GL where it works. A frame has `width` by `height`
    pixels, and there are `hz` of them a second. Pictures of the `cameras` (labels, with spaces between them; empty: none) are published
    `picture_hz` times a second. `host` and the two ports are Remote Control's, 0: any; a taken port yields another one. Off loopback it
    needs `passphrase_file`.
    """

    scene: str | None = None
    bodies: Annotated[int, Meta(ge=0, le=5000)] = 100
    renderer: Literal["auto", "gl", "software"] = "auto"
    width: Pixels = 640
    height: Pixels = 360
    hz: Annotated[float, Meta(ge=1, le=1000)] = 60.0
    cameras: str = "main"
    picture_hz: Annotated[float, Meta(gt=0, le=120)] = 10.0
    host: str = "127.0.0.1"
    http_port: Port = HTTP_PORT
    websocket_port: Port = WEBSOCKET_PORT
    passphrase_file: str | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """The labels of the cameras whose pictures are published."""
        return tuple(self.cameras.split())

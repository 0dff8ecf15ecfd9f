"""What the embedded engine is told on starting, and what it says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from schemas.engine import Renderer


class Options(Struct, frozen=True, kw_only=True):
    """Frames of `width` x `height` pixels, `hz` a second; `cameras` whose pictures are given out, each `picture_hz` times a second."""

    renderer: Literal["auto", "gl", "software"] = "auto"
    width: int = 640
    height: int = 360
    hz: float = 60.0
    cameras: tuple[str, ...] = ("main",)
    picture_hz: float = 10.0


class Drawing(Struct, frozen=True, kw_only=True):
    """What draws: `driver` by its own name, Panda3D's `version`, and in `note` why it is not OpenGL, where it is not."""

    renderer: Renderer
    driver: str
    version: str
    note: str | None = None


class RecordedFiles(Struct, frozen=True, kw_only=True):
    """A recording of `frames` pictures: the video, and a line of JSON for the camera's pose in each of them."""

    video: Path
    poses: Path
    frames: int

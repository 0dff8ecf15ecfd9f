"""What requests work on: the world, and what only the engine that draws it can do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agents.engine.world import Box, World


class NoShot(ValueError):
    """No picture can be taken now; the message says why."""


class Backend(Protocol):
    """The engine, as far as requests need it. They come from another thread than its own, and nothing here waits for a frame."""

    @property
    def version(self) -> str:
        """Which engine this is: `embedded-panda3d 1.10.16`."""

    def shoot(self, camera: str | None, width: int, height: int, file: Path) -> None:
        """Have a picture taken by the camera of this label (None: the first one), after one of the next frames. Raises NoShot.

        The file is not there yet when this returns, as in Unreal.
        """

    def bounds(self, mesh: str) -> Box | None:
        """The box of one of the scene's own meshes. None: there is no such mesh."""


@dataclass(frozen=True, slots=True)
class Context:
    """A world, who draws it, and the folder below which pictures may be written."""

    world: World
    backend: Backend
    shots: Path

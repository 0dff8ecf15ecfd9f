"""The camera that an overlay is measured with, and what may be known of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agents.parts.rigid import Rigid
from agents.xr.calibration.job import calibrate
from agents.xr.calibration.tour import tour
from agents.xr.calibration.view import View
from benchmarks._overlay_scene import DeskScene
from schemas.cameras import Board, Calibrate, CameraModel
from schemas.engine import Intrinsics

TRUE = CameraModel(
    intrinsics=Intrinsics(width=640, height=360, fx=520.0, fy=512.0, cx=331.0, cy=171.0), distortion=(-0.28, 0.09, 0.001, -0.0008, 0.0)
)
"""The camera. Its pixels are not square, its axis is (11.5, -8.5) pixels off the middle, and in the corners it bends by 60 to 70 pixels."""
SIZE = (640, 360)
"""In which the engine draws where nothing else is said: its own default."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the camera, and `how`; its tracker is in truth the camera itself."""

    how: str
    camera: CameraModel
    mount: Rigid


def known_cameras() -> list[Known]:
    """The true camera, and what the agent's own calibration makes of it. Raises BadViews, OSError."""
    with closing(DeskScene(*SIZE)) as scene, tempfile.TemporaryDirectory(prefix="zp-bench-") as folder:
        found = asyncio.run(calibrate("bench", Calibrate(), _views(scene), "simulated", "rendered", Path(folder), _unheard, _unheard))
    if found.mount is None:
        raise LookupError("the calibration knew where the tracker was, and found no mount")
    mount = Rigid(found.mount.position, found.mount.orientation)
    return [
        Known("as it is", TRUE, Rigid()),
        Known("calibrated, with its mount", found.camera, mount),
        Known("calibrated, without a mount", found.camera, Rigid()),
    ]


async def _views(scene: DeskScene) -> AsyncIterator[View]:
    """The board from all sides, with the true pose of each."""
    for number, place in enumerate(tour(Board(), scene.board, TRUE.intrinsics, Calibrate().views)):
        yield View(f"view {number}", scene.photograph(place, TRUE), place)


def _unheard(said: object) -> None:
    """Nobody follows this calibration."""

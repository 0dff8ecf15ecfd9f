"""The truth that an overlay is held against: the default scene as a camera with a lens sees it, and where its board's corners must be.

The picture is rendered by the embedded engine as a wide pinhole's, then bent by the lens. The corners are not: cv2.projectPoints alone says
where they are.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agents.engine.render.camera import intrinsics
from agents.engine.render.charuco import COLUMNS, ROWS, SQUARE, board
from agents.engine.render.pipes import Choice
from agents.engine.render.studio import Studio
from agents.engine.scenes.loading import default
from agents.engine.world import Optics, Transform, World
from agents.parts.frames import from_unreal, rotation_from_unreal, rotation_to_unreal, to_unreal
from agents.parts.rigid import Rigid
from agents.xr.calibration.poses import camera_matrix
from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay.lens import enclosing_view, maps
from schemas.cameras import CameraModel
from schemas.engine import Intrinsics
from schemas.xr import CAMERA, OVERLAY

BOARD = "charuco board"
"""Its label in the default scene."""
SHARPER = 2
"""How many times as large as the camera's picture its pinhole picture is, so that bending it blurs nothing."""


class DeskScene:
    """The default scene without bodies, and its two cameras, each wherever it is wanted. Layers have `width` x `height` pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._world = World()
        self._studio = Studio(self._world, Choice(renderer="software"), width, height)
        self._studio.load(default(0))
        self.board = self._place(BOARD)

    def close(self) -> None:
        self._studio.close()

    def layer(self, place: Rigid, camera: CameraModel) -> tuple[Pixels, Intrinsics]:
        """What the engine draws over that camera's picture from there, and the pinhole that it says it was."""
        self._aim(OVERLAY, place, enclosing_view(camera, *self._studio.size))
        shot = self._studio.live(OVERLAY, layer=True)
        return shot.pixels, shot.picture.intrinsics

    def photograph(self, place: Rigid, camera: CameraModel) -> Pixels:
        """What a camera with this lens sees there."""
        width, height = (SHARPER * edge for edge in (camera.intrinsics.width, camera.intrinsics.height))
        optics = self._aim(CAMERA, place, enclosing_view(camera, width, height))
        shot = np.frombuffer(self._studio.screenshot(CAMERA, width, height), np.uint8)
        picture = np.asarray(cv2.imdecode(shot, cv2.IMREAD_COLOR), np.uint8)
        bent = cv2.remap(picture, *maps(camera, intrinsics(optics, width, height)), interpolation=cv2.INTER_CUBIC)
        return np.asarray(bent, np.uint8)

    def corners(self, place: Rigid, camera: CameraModel) -> NDArray[np.float64]:
        """Where the board's corners are in such a photograph: [n, 2], by OpenCV's numbers."""
        to_camera = place.inverse().then(self.board)
        points = [to_camera.apply((x - COLUMNS * SQUARE / 2, 0.0, y - ROWS * SQUARE / 2)) for x, y, _ in board().getChessboardCorners()]
        forward = np.array(points) * (1, -1, -1)
        found, _ = cv2.projectPoints(forward, np.zeros(3), np.zeros(3), camera_matrix(camera), np.array(camera.distortion))
        return np.asarray(found, np.float64).reshape(-1, 2)

    def _aim(self, label: str, place: Rigid, field_of_view: float) -> Optics:
        """Put a camera there, for the next picture."""
        camera, optics = self._world.labelled(label), Optics(math.degrees(field_of_view))
        if camera is None:
            raise LookupError(f"the default scene has no camera {label!r}")
        self._world.move(camera, Transform(to_unreal(place.position), rotation_to_unreal(place.orientation)))
        self._world.look(camera, replace(camera.looks, optics=optics))
        self._studio.stage.take_over()
        return optics

    def _place(self, label: str) -> Rigid:
        actor = self._world.labelled(label)
        if actor is None:
            raise LookupError(f"the default scene has no {label!r}")
        return Rigid(from_unreal(actor.transform.position), rotation_from_unreal(actor.transform.orientation))

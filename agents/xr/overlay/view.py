"""How wide the engine has to see for the overlay, by its own pictures and the camera's calibration."""

from __future__ import annotations

from agents.xr.overlay.lens import BadCamera, enclosing_view
from schemas.cameras import CameraModel
from schemas.engine import Intrinsics, Picture
from schemas.xr import CAMERA, OVERLAY


class EngineView:
    """Works out the field of view anew only when something has changed. `reason`: why there is none."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._stand_in: Intrinsics | None = None
        self._drawn: Intrinsics | None = None
        self._asked: tuple[CameraModel, int, int] | None = None
        self._angle: float | None = None

    def note(self, picture: Picture) -> None:
        """One of the engine's pictures: what camera it was."""
        if picture.camera == CAMERA:
            self._stand_in = picture.intrinsics
        elif picture.camera == OVERLAY:
            self._drawn = picture.intrinsics

    def angle(self, model: CameraModel | None) -> float | None:
        """So wide, in radians, that the layer has all that this camera sees; no model: the stand-in. None: it is not known, or none."""
        if model is None and self._stand_in is not None:
            model = CameraModel(intrinsics=self._stand_in)
        if model is None or self._drawn is None:
            return None
        asked = (model, self._drawn.width, self._drawn.height)
        if asked != self._asked:
            self._asked = asked
            self._work_out(*asked)
        return self._angle

    def _work_out(self, model: CameraModel, width: int, height: int) -> None:
        self.reason = self._angle = None
        try:
            self._angle = enclosing_view(model, width, height)
        except BadCamera as error:
            self.reason = str(error)

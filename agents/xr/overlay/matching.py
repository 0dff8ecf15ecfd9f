"""What belongs together: a picture and the pose that it was drawn by, a camera's picture and the layer for it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from agents.parts.rigid import Rigid, angle_between
from schemas.engine import Picture
from schemas.xr import CAMERA, OVERLAY

REMEMBERED = 256
"""Poses: at 90 a second those of nearly three seconds, and what is older than that is not worth showing."""
TOLERANCE = 1e-5
"""Metres and radians: what a pose may change by on its way to the engine and back, in other units and in decimals."""
LAYERS = 8
"""Layers that wait for a camera's picture: those of a quarter of a second."""


class Drawn(Struct, frozen=True):
    """A picture of the engine and its file."""

    picture: Picture
    data: bytes


class _Published(Struct, frozen=True):
    place: Rigid
    sampled: int
    published: int


class Poses:
    """Remembers which poses the overlay's camera was given lately, and when each was sampled, and then published as this camera's (ns)."""

    def __init__(self) -> None:
        self._lately: deque[_Published] = deque(maxlen=REMEMBERED)

    def remember(self, place: Rigid, sampled: int, published: int) -> None:
        self._lately.append(_Published(place, sampled, published))

    def sampled(self, picture: Picture) -> int | None:
        """When the pose was sampled that the picture was drawn by: the newest of those alike. None: it is none of those remembered.

        A pose that was published after the picture's actors were put in place cannot be its own.
        """
        known = (pose for pose in reversed(self._lately) if picture.placed is None or pose.published <= picture.placed)
        return next((pose.sampled for pose in known if _is_alike(pose.place, picture)), None)


class Pairs:
    """Finds the two pictures of one frame: of the stand-in for a camera, and the layer."""

    def __init__(self) -> None:
        self._newest: dict[str, Drawn] = {}

    def put(self, drawn: Drawn) -> tuple[Drawn, Drawn] | None:
        """Camera and layer, once both are there."""
        if drawn.picture.camera in (CAMERA, OVERLAY):
            self._newest[drawn.picture.camera] = drawn
        camera, layer = self._newest.get(CAMERA), self._newest.get(OVERLAY)
        if camera is None or layer is None or camera.picture.frame != layer.picture.frame:
            return None
        self._newest.clear()
        return camera, layer


class Layers:
    """Finds the layer that was drawn when a real camera took its picture, as nearly as there is one."""

    def __init__(self) -> None:
        self._lately: deque[Drawn] = deque(maxlen=LAYERS)

    def put(self, drawn: Drawn) -> None:
        """Pictures of other cameras are passed over, and layers of which nobody knows when they were drawn."""
        if drawn.picture.camera == OVERLAY and drawn.picture.placed is not None:
            self._lately.append(drawn)

    def nearest(self, taken_ns: int) -> Drawn | None:
        return min(self._lately, key=_distance_to(taken_ns), default=None)


def _distance_to(taken_ns: int) -> Callable[[Drawn], int]:
    return lambda drawn: abs((drawn.picture.placed or 0) - taken_ns)


def _is_alike(place: Rigid, picture: Picture) -> bool:
    if math.dist(place.position, picture.position) > TOLERANCE:
        return False
    return angle_between(place.orientation, picture.orientation) <= TOLERANCE

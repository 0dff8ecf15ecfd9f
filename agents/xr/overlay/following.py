"""Where the engine's cameras are to be, so that they see what a tracked camera sees."""

from __future__ import annotations

from agents.parts.rigid import Rigid
from schemas.cameras import Mount
from schemas.scene import ActorPoses, CameraPose, Placed
from schemas.xr import CAMERA, OVERLAY

STAND_IN = "the engine's stand-in for a camera"
"""What it is called wherever a camera is named."""


def overlay_pose(tracker: Rigid, mount: Mount | None, field_of_view: float | None) -> CameraPose:
    """Of the camera that draws the layer, by where its tracker is or will be. Without a mount the tracker is the camera."""
    place = tracker if mount is None else tracker.then(Rigid(mount.position, mount.orientation))
    return CameraPose(camera=OVERLAY, position=place.position, orientation=place.orientation, field_of_view=field_of_view)


def stand_in_pose(place: Rigid) -> ActorPoses:
    """Of the stand-in for a camera that is not there. It keeps its field of view, for it may have been calibrated.

    As an actor: of a source's camera poses only the newest counts, and that is the overlay's.
    """
    return ActorPoses(actors=[Placed(actor=CAMERA, position=place.position, orientation=place.orientation)])

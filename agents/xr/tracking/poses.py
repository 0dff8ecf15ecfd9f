"""What is published of an observation: a pose, with what its kind of device has besides."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from agents.parts.rigid import Rigid
from agents.xr.observation import Observation
from agents.xr.tracking.motion import Motion
from bus.topic import Topic
from schemas import xr
from schemas.xr import Controller, Device, Hand, Joint, Pose

TOPICS: dict[Device, Topic[Any]] = {  # Any: each has a struct of its own
    "head": xr.HEAD,
    "hand.left": xr.HAND_LEFT,
    "hand.right": xr.HAND_RIGHT,
    "controller.left": xr.CONTROLLER_LEFT,
    "controller.right": xr.CONTROLLER_RIGHT,
}


def pose_of(seen: Observation, place: Rigid, motion: Motion, joints: list[Joint], published: int) -> Pose:
    """A pose of the device's struct. `place`, `motion` and `joints` are in the frame of the bus; `published` is now, in ns."""
    pose = Pose(
        origin=seen.source.origin,
        kind=seen.source.kind,
        sequence=seen.sequence,
        position=place.position,
        orientation=place.orientation,
        tracking=seen.tracking,
        linear_velocity=motion.linear,
        angular_velocity=motion.angular,
        uncertainty=seen.uncertainty,
        sent=seen.sent,
        received=seen.received,
        published=published,
    )
    if seen.device in ("hand.left", "hand.right"):
        return Hand(**asdict(pose), joints=joints)
    if seen.device in ("controller.left", "controller.right"):
        return Controller(**asdict(pose), buttons=list(seen.buttons), axes=list(seen.axes))
    return pose

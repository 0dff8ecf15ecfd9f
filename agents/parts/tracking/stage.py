"""The frame of a film stage, in which OpenTrackIO and FreeD say where a camera is: X right, Y forward, Z up, then pan, tilt and roll.

Pan turns about Z, then tilt about the X that pan has turned, then roll about the Y that both have turned: intrinsic Z, X, Y. A camera
of zeros looks along +Y, upright. Here pan is positive to the right, tilt up, roll clockwise as seen from behind the camera.
The axes are right-handed, and those of Panda3D in agents.parts.frames.

Sources: OpenTrackIO 1.0.1, `transforms` ("the Z axis points upwards and the coordinate system is right-handed", "rotations are intrinsic
and are measured around the axes ZXY"); Vinten's free-d Installation Manual 1.4.4, appendix B. They differ in the sign of pan alone:
Unreal takes OpenTrackIO's as -yaw (LiveLinkOpenTrackIOConversions.h), FreeD's as yaw (LiveLinkFreeDSource.cpp), and of both tilt as pitch
and roll as roll.
"""

from __future__ import annotations

import math

from msgspec import Struct

from agents.parts.frames import (
    Quaternion,
    Vector,
    from_panda,
    is_unit,
    normalised,
    rotate,
    rotation_from_panda,
    rotation_to_panda,
    to_panda,
)
from agents.parts.rigid import Rigid, product, turned_by
from agents.parts.tracking.errors import OutOfRange
from schemas.scene import CameraPose

_POLE = 1e-7
"""Cosine of tilt: nearer to straight up or down than this, pan and roll are one angle, and it is called pan."""


class StagePose(Struct, frozen=True):
    """Where a camera is on the stage, in metres, and where it looks, in degrees."""

    position: Vector
    pan: float
    tilt: float
    roll: float


def to_stage(pose: CameraPose) -> StagePose:
    """A pose of the bus, on the stage. Raises OutOfRange."""
    orientation = unit_orientation(pose)
    return StagePose(to_panda(pose.position), *_angles(rotation_to_panda(orientation)))


def from_stage(pose: StagePose) -> Rigid:
    """Where that is, and how it is turned, in the frame of the bus. All numbers must be finite."""
    pan, tilt, roll = map(math.radians, (pose.pan, pose.tilt, pose.roll))
    turned = product(product(turned_by((0.0, 0.0, -pan)), turned_by((tilt, 0.0, 0.0))), turned_by((0.0, roll, 0.0)))
    return Rigid(from_panda(pose.position), normalised(rotation_from_panda(turned)))


def unit_orientation(pose: CameraPose) -> Quaternion:
    """The pose's orientation at a length of one. Raises OutOfRange where a number is not finite, or the length is another."""
    if not all(map(math.isfinite, (*pose.position, *pose.orientation))):
        raise OutOfRange(f"{pose.camera!r} is at {pose.position}, {pose.orientation}: want finite numbers")
    if not is_unit(pose.orientation):
        length = math.hypot(*pose.orientation)
        raise OutOfRange(f"the orientation of {pose.camera!r}, {pose.orientation}, has a length of {length:.4g}: want 1")
    return normalised(pose.orientation)


def _angles(orientation: Quaternion) -> Vector:
    """Pan, tilt and roll in degrees: of Rz(-pan) Rx(tilt) Ry(roll), from where it takes the three axes."""
    right, forward = rotate(orientation, (1, 0, 0)), rotate(orientation, (0, 1, 0))
    level = math.hypot(forward[0], forward[1])
    tilt = math.degrees(math.atan2(forward[2], level))
    if level < _POLE:
        return (math.degrees(math.atan2(-right[1], right[0])), tilt, 0.0)
    up = rotate(orientation, (0, 0, 1))
    pan, roll = math.atan2(forward[0], forward[1]), math.atan2(-right[2], up[2])
    return (math.degrees(pan), tilt, math.degrees(roll))

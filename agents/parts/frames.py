"""Frames of reference: the bus's, Unreal's and Panda3D's, and how a pose goes from one to another.

| | axes | unit | looks along | source |
|---|---|---|---|---|
| bus | right-handed: X right, Y up, Z back | metre | -Z | OpenXR 1.1, section 2.16 |
| Unreal | left-handed: X forward, Y right, Z up | centimetre | +X | Unreal's "Coordinate system and spaces" |
| Panda3D | right-handed: X right, Y forward, Z up | metre | +Y | Panda3D's manual, `CS_zup_right` |

Quaternions are x, y, z, w. A mirror turns the sense of a rotation: hence the sign of w between Unreal and the other two.
Everything here is plain arithmetic on tuples: a bridge does it for each move.
"""

from __future__ import annotations

import math

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Rotator = tuple[float, float, float]
"""Unreal's pitch, yaw and roll, in degrees."""

CENTIMETRES = 100.0
"""In a metre."""
_UNIT_TOLERANCE = 1e-3
"""How far from one the length of a quaternion may be that somebody wrote or measured."""
_POLE = 0.4999995
"""Of sin(pitch) / 2: beyond it yaw and roll are one angle, as in Unreal's `FQuat::Rotator`."""


def to_unreal(position: Vector) -> Vector:
    """A position of the bus, in Unreal's frame."""
    x, y, z = position
    return (-z * CENTIMETRES, x * CENTIMETRES, y * CENTIMETRES)


def from_unreal(position: Vector) -> Vector:
    """A position of Unreal, in the bus's frame."""
    x, y, z = position
    return (y / CENTIMETRES, z / CENTIMETRES, -x / CENTIMETRES)


def rotation_to_unreal(orientation: Quaternion) -> Quaternion:
    x, y, z, w = orientation
    return (-z, x, y, -w)


def rotation_from_unreal(orientation: Quaternion) -> Quaternion:
    x, y, z, w = orientation
    return (y, z, -x, -w)


def scale_to_unreal(scale: Vector) -> Vector:
    """Factors along the axes of the bus, along those of Unreal."""
    x, y, z = scale
    return (z, x, y)


def scale_from_unreal(scale: Vector) -> Vector:
    x, y, z = scale
    return (y, z, x)


def to_panda(position: Vector) -> Vector:
    """A position of the bus, in Panda3D's frame."""
    x, y, z = position
    return (x, -z, y)


def from_panda(position: Vector) -> Vector:
    x, y, z = position
    return (x, z, -y)


def rotation_to_panda(orientation: Quaternion) -> Quaternion:
    x, y, z, w = orientation
    return (x, -z, y, w)


def rotation_from_panda(orientation: Quaternion) -> Quaternion:
    x, y, z, w = orientation
    return (x, z, -y, w)


def unreal_to_panda(position: Vector) -> Vector:
    """A position of Unreal, in Panda3D's frame."""
    x, y, z = position
    return (y / CENTIMETRES, x / CENTIMETRES, z / CENTIMETRES)


def panda_to_unreal(position: Vector) -> Vector:
    x, y, z = position
    return (y * CENTIMETRES, x * CENTIMETRES, z * CENTIMETRES)


def rotation_unreal_to_panda(orientation: Quaternion) -> Quaternion:
    x, y, z, w = orientation
    return (y, x, z, -w)


def rotation_panda_to_unreal(orientation: Quaternion) -> Quaternion:
    x, y, z, w = orientation
    return (y, x, z, -w)


def scale_unreal_to_panda(scale: Vector) -> Vector:
    x, y, z = scale
    return (y, x, z)


def rotation_of_rotator(rotator: Rotator) -> Quaternion:
    """Unreal's quaternion of a rotator, as `FRotator::Quaternion` defines it."""
    pitch, yaw, roll = (math.radians(angle) / 2 for angle in rotator)
    sp, cp, sy, cy, sr, cr = math.sin(pitch), math.cos(pitch), math.sin(yaw), math.cos(yaw), math.sin(roll), math.cos(roll)
    return (
        cr * sp * sy - sr * cp * cy,
        -cr * sp * cy - sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )


def rotator_of_rotation(orientation: Quaternion) -> Rotator:
    """The rotator of Unreal's quaternion, which has length one, as `FQuat::Rotator` defines it."""
    x, y, z, w = orientation
    half_sine = z * x - w * y
    yaw_y, yaw_x = 2 * (w * z + x * y), 1 - 2 * (y * y + z * z)
    yaw = math.degrees(math.atan2(yaw_y, yaw_x))
    if abs(half_sine) > _POLE:
        sign = math.copysign(1.0, half_sine)
        return (90.0 * sign, yaw, _axis(sign * yaw - 2 * math.degrees(math.atan2(x, w))))
    pitch = math.degrees(math.asin(2 * half_sine))
    roll = math.degrees(math.atan2(-2 * (w * x + y * z), 1 - 2 * (x * x + y * y)))
    return (pitch, yaw, roll)


def is_unit(orientation: Quaternion) -> bool:
    """Whether it has about length one: only then it is a rotation."""
    return abs(math.hypot(*orientation) - 1) <= _UNIT_TOLERANCE


def normalised(orientation: Quaternion) -> Quaternion:
    """The quaternion with length one. Raises ZeroDivisionError where it has none."""
    length = math.hypot(*orientation)
    x, y, z, w = orientation
    return (x / length, y / length, z / length, w / length)


def rotate(orientation: Quaternion, vector: Vector) -> Vector:
    """The vector turned by a quaternion of length one: v + 2 q x (q x v + w v), where x is the cross product."""
    x, y, z, w = orientation
    vx, vy, vz = vector
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    return (vx + w * tx + y * tz - z * ty, vy + w * ty + z * tx - x * tz, vz + w * tz + x * ty - y * tx)


def _axis(degrees: float) -> float:
    """The same angle between -180 and 180."""
    return (degrees + 180.0) % 360.0 - 180.0

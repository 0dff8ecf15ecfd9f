"""Rigid transforms: where something is and how it is turned, in the frame of something else. Quaternions are x, y, z, w, of length one."""

from __future__ import annotations

import math

from msgspec import Struct

from agents.parts.frames import Quaternion, Vector, normalised, rotate

IDENTITY: Quaternion = (0.0, 0.0, 0.0, 1.0)
_LEVEL = 0.2
"""Of a direction of length one: where it is less along the floor, it is mostly up or down, and no heading."""
_SMALL = 1e-9
"""Radians: so small an angle has no axis that rounding has left."""


class Rigid(Struct, frozen=True):
    """Takes what is said in the frame of the thing into the frame that the thing is in."""

    position: Vector = (0.0, 0.0, 0.0)
    orientation: Quaternion = IDENTITY

    def apply(self, point: Vector) -> Vector:
        """A point of the thing's frame, in the frame that it is in."""
        return added(self.position, rotate(self.orientation, point))

    def then(self, inner: Rigid) -> Rigid:
        """Where something is that is at `inner` in the thing's frame."""
        return Rigid(self.apply(inner.position), normalised(product(self.orientation, inner.orientation)))

    def inverse(self) -> Rigid:
        """The other way round: where the frame is that the thing is in, in the thing's."""
        back = conjugate(self.orientation)
        x, y, z = rotate(back, self.position)
        return Rigid((-x, -y, -z), back)


def added(a: Vector, b: Vector) -> Vector:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def scaled(vector: Vector, factor: float) -> Vector:
    return (vector[0] * factor, vector[1] * factor, vector[2] * factor)


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton's: first turned by `b`, then by `a`."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def conjugate(orientation: Quaternion) -> Quaternion:
    """The rotation back."""
    x, y, z, w = orientation
    return (-x, -y, -z, w)


def turned_by(rotation_vector: Vector) -> Quaternion:
    """The rotation about this axis by its length in radians: the exponential map."""
    angle = math.hypot(*rotation_vector)
    if angle < _SMALL:
        return IDENTITY
    x, y, z = scaled(rotation_vector, math.sin(angle / 2) / angle)
    return (x, y, z, math.cos(angle / 2))


def rotation_vector(orientation: Quaternion) -> Vector:
    """The axis, as long as the angle in radians, which is pi at most: the logarithm."""
    x, y, z, w = orientation if orientation[3] >= 0 else (-orientation[0], -orientation[1], -orientation[2], -orientation[3])
    sine = math.hypot(x, y, z)
    if sine < _SMALL:
        return (2 * x, 2 * y, 2 * z)
    return scaled((x, y, z), 2 * math.atan2(sine, w) / sine)


def about_y(angle: float) -> Quaternion:
    """The rotation about Y, to the left for what looks along -Z."""
    return (0.0, math.sin(angle / 2), 0.0, math.cos(angle / 2))


def heading(orientation: Quaternion) -> float:
    """The turn about Y, in radians, that takes -Z to where a device looks along the floor; if it looks up or down, its right says it."""
    forward = rotate(orientation, (0.0, 0.0, -1.0))
    if math.hypot(forward[0], forward[2]) >= _LEVEL:
        return math.atan2(-forward[0], -forward[2])
    right = rotate(orientation, (1.0, 0.0, 0.0))
    return math.atan2(-right[2], right[0])


def angle_between(a: Quaternion, b: Quaternion) -> float:
    """Radians from one orientation to the other, pi at most."""
    return math.hypot(*rotation_vector(product(conjugate(a), b)))


def between(a: Rigid, b: Rigid, share: float) -> Rigid:
    """On the way from one place to the other, by share: straight, and turning evenly (slerp)."""
    step = scaled(rotation_vector(product(conjugate(a.orientation), b.orientation)), share)
    position = added(scaled(a.position, 1 - share), scaled(b.position, share))
    return Rigid(position, normalised(product(a.orientation, turned_by(step))))

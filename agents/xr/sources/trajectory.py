"""A trajectory: where a device was, from its first moment to its last, and by interpolation in between."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from agents.parts.frames import Quaternion, Vector, rotate
from agents.parts.rigid import IDENTITY, Rigid, between, product

Kind = Literal["recorded", "simulated"]
Axes = Literal["bus", "optical", "body", "euroc"]
"""The frame of reference of its poses; axes.py says what they are."""
GAP = 500_000_000
"""Nanoseconds: what lies further apart is not interpolated, for nobody knows where the device was between."""


class Trajectory(Struct, frozen=True, kw_only=True, eq=False):
    """`times` are ns from 0, strictly rising, two at least; `positions` (n, 3) metres; `orientations` (n, 4) x, y, z, w, of length one."""

    name: str
    kind: Kind
    axes: Axes
    times: NDArray[np.int64]
    positions: NDArray[np.float64]
    orientations: NDArray[np.float64]

    @property
    def duration(self) -> int:
        """In ns."""
        return int(self.times[-1])

    def pose(self, number: int) -> Rigid:
        """Where it was the `number`th time, counted from 0."""
        return Rigid(_vector(self.positions[number]), _quaternion(self.orientations[number]))

    def at(self, time: int) -> Rigid:
        """Where it is at `time`, in ns, between the poses before and after it; before the first one there, after the last one there."""
        later = self._after(time)
        share = (time - int(self.times[later - 1])) / int(self.times[later] - self.times[later - 1])
        return between(self.pose(later - 1), self.pose(later), min(max(share, 0.0), 1.0))

    def is_known(self, time: int) -> bool:
        """Whether it is known where it is at `time`, in ns: that is within the trajectory, and in no gap of it."""
        later = self._after(time)
        return 0 <= time <= self.duration and int(self.times[later] - self.times[later - 1]) <= GAP

    def moved(self, world: Rigid, device: Quaternion = IDENTITY) -> Trajectory:
        """The same, once the world it is in is at `world`, and each axis of the device is called as `device` turns it."""
        turn = np.array([rotate(world.orientation, _vector(axis)) for axis in np.eye(3)])
        turns = np.array([product(product(world.orientation, _quaternion(part)), device) for part in np.eye(4)])  # it is linear
        return msgspec.structs.replace(
            self, positions=self.positions @ turn + np.array(world.position), orientations=self.orientations @ turns
        )

    def _after(self, time: int) -> int:
        """The number of the pose after `time`, of one that has another before it."""
        return int(np.clip(np.searchsorted(self.times, time), 1, len(self.times) - 1))


def _vector(row: NDArray[np.float64]) -> Vector:
    x, y, z = row.tolist()
    return (x, y, z)


def _quaternion(row: NDArray[np.float64]) -> Quaternion:
    x, y, z, w = row.tolist()
    return (x, y, z, w)

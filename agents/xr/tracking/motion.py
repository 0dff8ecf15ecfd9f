"""How fast a device moves: as its source says, else by its places, which are noisy."""

from __future__ import annotations

import math

from msgspec import Struct

from agents.parts.frames import Vector
from agents.parts.rigid import Rigid, added, conjugate, product, rotation_vector, scaled
from agents.xr.observation import Observation
from agents.xr.tracking.one_euro import Cutoffs, OneEuro

LINEAR = Cutoffs(least=8.0, slope=2.0)
ANGULAR = Cutoffs(least=5.0, slope=0.1)
"""Chosen by `./dev bench pose`, on real trajectories, for an error 50 ms ahead that is small on all of them."""
LONGEST_GAP = 250_000_000
"""In ns: after a longer one it is not known how the device moved meanwhile."""
FASTEST = 30.0
"""Metres or radians a second: what seems faster was not moved there but put, as by another reference space."""
_SECOND = 1_000_000_000


class Motion(Struct, frozen=True):
    """Metres a second, and radians a second about the axis that the vector is, both in the frame of the bus; null: not known yet."""

    linear: Vector | None = None
    angular: Vector | None = None


class MotionFilter:
    """The motion of one device, by its observations in their order."""

    def __init__(self) -> None:
        self._place: Rigid | None = None
        self._sampled = 0
        self._begin()

    def observe(self, seen: Observation) -> Motion:
        """Where the device was, later than the one before; returns how it moves there."""
        place = Rigid(seen.position, seen.orientation)
        differences = self._differences(place, seen.sampled)
        self._place, self._sampled = place, seen.sampled
        linear = differences.linear if seen.linear_velocity is None else seen.linear_velocity
        angular = differences.angular if seen.angular_velocity is None else seen.angular_velocity
        return Motion(linear, angular)

    def _begin(self) -> None:
        self._linear, self._angular = OneEuro(LINEAR), OneEuro(ANGULAR)

    def _differences(self, place: Rigid, sampled: int) -> Motion:
        elapsed = sampled - self._sampled
        if self._place is None or not 0 < elapsed <= LONGEST_GAP:
            self._begin()
            return Motion()
        seconds = elapsed / _SECOND
        linear = scaled(added(place.position, scaled(self._place.position, -1)), 1 / seconds)
        angular = scaled(rotation_vector(product(place.orientation, conjugate(self._place.orientation))), 1 / seconds)
        if max(math.hypot(*linear), math.hypot(*angular)) > FASTEST:
            self._begin()
            return Motion()
        return Motion(self._linear.filter(linear, seconds), self._angular.filter(angular, seconds))

"""Where a device will be in a moment, if it goes on as it moves."""

from __future__ import annotations

from agents.parts.frames import normalised
from agents.parts.rigid import Rigid, added, product, scaled, turned_by
from agents.xr.timing.stages import LONGEST_HORIZON
from agents.xr.tracking.motion import Motion


def predicted(place: Rigid, motion: Motion, seconds: float) -> Rigid:
    """At constant velocity, and at constant angular velocity by the exponential map. Further ahead than `LONGEST_HORIZON` is as that.

    What is not known of the motion is taken as none.
    """
    ahead = min(seconds, LONGEST_HORIZON)
    position, orientation = place.position, place.orientation
    if motion.linear is not None:
        position = added(position, scaled(motion.linear, ahead))
    if motion.angular is not None:
        orientation = normalised(product(turned_by(scaled(motion.angular, ahead)), orientation))
    return Rigid(position, orientation)

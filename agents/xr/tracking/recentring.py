"""Where the room's origin is: moved and turned about Y, so that a head that was anywhere stands at it and looks along -Z."""

from __future__ import annotations

from agents.parts.frames import Vector, rotate
from agents.parts.rigid import Rigid, about_y, heading
from agents.xr.tracking.motion import Motion
from schemas.xr import Joint, Recentred


class Recentring:
    """From the frame that sources say poses in, to the one in which they are published. Heights stay as they are."""

    def __init__(self) -> None:
        self._shift = Rigid()

    def recentre(self, head: Rigid) -> Recentred:
        """Have this head, in the frame of the sources, at x = z = 0 and looking along -Z. Returns where it was published until now."""
        was = self.place(head)
        yaw, (x, _, z) = heading(was.orientation), was.position
        origin = Rigid((x, 0.0, z), about_y(yaw))
        self._shift = origin.inverse().then(self._shift)
        return Recentred(position=was.position, yaw=yaw)

    def place(self, raw: Rigid) -> Rigid:
        return self._shift.then(raw)

    def motion(self, raw: Motion) -> Motion:
        return Motion(self._turned(raw.linear), self._turned(raw.angular))

    def joints(self, raw: tuple[Joint, ...]) -> list[Joint]:
        return [self._joint(joint) for joint in raw]

    def _turned(self, velocity: Vector | None) -> Vector | None:
        return None if velocity is None else rotate(self._shift.orientation, velocity)

    def _joint(self, joint: Joint) -> Joint:
        place = self.place(Rigid(joint.position, joint.orientation))
        return Joint(position=place.position, orientation=place.orientation, radius=joint.radius)

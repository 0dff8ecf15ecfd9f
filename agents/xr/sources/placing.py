"""Moves a trajectory to where somebody wants it to begin."""

from __future__ import annotations

from agents.parts.frames import Vector, rotate
from agents.parts.rigid import Rigid, about_y, added, heading, scaled
from agents.xr.sources.trajectory import Trajectory


def placed(trajectory: Trajectory, start: Vector) -> Trajectory:
    """The trajectory of the bus's frame, moved and turned about Y so that its first pose is at `start`, and looks along -Z."""
    first = trajectory.pose(0)
    turn = about_y(-heading(first.orientation))
    return trajectory.moved(Rigid(added(start, scaled(rotate(turn, first.position), -1.0)), turn))

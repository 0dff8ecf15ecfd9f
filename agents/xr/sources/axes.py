"""Trajectories of other frames of reference, in that of the bus: metres, right-handed, Y up, devices look along -Z.

| axes | the world | the device |
|---|---|---|
| `bus` | Y up | X right, Y up, looks along -Z |
| `optical` | Z up | a camera: X right, Y down, looks along Z, as TUM's and OpenCV's |
| `body` | Z up | a body: X forward, Y left, Z up, as ROS's (REP 103) |
| `euroc` | Z up | EuRoC's sensor as it sits on its drone: X up, Y right, Z forward, as `T_BS` of its cameras says |
"""

from __future__ import annotations

import math

import msgspec

from agents.parts.frames import Quaternion
from agents.parts.rigid import IDENTITY, Rigid
from agents.xr.sources.trajectory import Axes, Trajectory

_HALF = math.sqrt(0.5)
_WORLDS: dict[Axes, Quaternion] = {
    "bus": IDENTITY,
    "optical": (-_HALF, 0.0, 0.0, _HALF),
    "body": (-_HALF, 0.0, 0.0, _HALF),
    "euroc": (-_HALF, 0.0, 0.0, _HALF),
}
"""How the world's axes are turned in the bus's: a quarter back about X lets Z be up."""
_DEVICES: dict[Axes, Quaternion] = {
    "bus": IDENTITY,
    "optical": (1.0, 0.0, 0.0, 0.0),
    "body": (0.5, -0.5, -0.5, 0.5),
    "euroc": (_HALF, _HALF, 0.0, 0.0),
}
"""How the axes that the bus gives a device are turned in its own: half about X; -Z to X and Y to Z; -Z to Z and Y to X."""


def in_bus(trajectory: Trajectory) -> Trajectory:
    """The same in the frame of the bus."""
    moved = trajectory.moved(Rigid(orientation=_WORLDS[trajectory.axes]), _DEVICES[trajectory.axes])
    return msgspec.structs.replace(moved, axes="bus")

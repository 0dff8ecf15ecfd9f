"""What every source of poses says, in the same words: one device at one moment, in the frame of the bus."""

from __future__ import annotations

from msgspec import Struct

from agents.parts.frames import Quaternion, Vector
from schemas.xr import Button, Device, Joint, Kind, Origin, Tracking


class Source(Struct, frozen=True, kw_only=True):
    """Who says it: a page, a trajectory, a tracker. `name` is one of its own."""

    name: str
    origin: Origin
    kind: Kind


class Observation(Struct, frozen=True, kw_only=True):
    """Where a device was at `sampled`, in ns by this machine's clock, give or take `uncertainty` seconds. `sequence` rises by source.

    Velocities are the source's own, in metres and radians a second in the frame of the bus, null: it knows none. `joints` are those of a
    hand, `buttons` and `axes` those of a controller.
    """

    source: Source
    device: Device
    sequence: int
    sampled: int
    received: int
    position: Vector
    orientation: Quaternion
    tracking: Tracking = "tracked"
    sent: int | None = None
    uncertainty: float | None = None
    linear_velocity: Vector | None = None
    angular_velocity: Vector | None = None
    joints: tuple[Joint, ...] = ()
    buttons: tuple[Button, ...] = ()
    axes: tuple[float, ...] = ()

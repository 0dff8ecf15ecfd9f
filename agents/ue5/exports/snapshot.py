"""What an export is made of: the scene as the bridge saw it last, and how the bridge did."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from msgspec import Struct

from schemas import scene
from schemas.scene import Vector

FURTHEST = 1e9
"""Metres from the origin, and factor of a scale, that the files can still hold: USD and glTF keep 32 bits of much of it."""
SHORTEST = 1e-3
"""Of a quaternion that still says which way an actor is turned."""

Bounds = tuple[Vector, Vector]
"""The centre of a box along the axes of the scene, and half its size along each, in metres."""


class Unexportable(ValueError):
    """A scene with something that no file can hold; the message says what, of which actor."""


class MetricsRow(Struct, frozen=True, kw_only=True):
    """One second of the bridge: `time_ns` since the Unix epoch, frames a second, times in seconds. Null: not known of that second."""

    time_ns: int
    rate: float | None = None
    frame_time: float | None = None
    round_trip_p50: float | None = None
    round_trip_p99: float | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """The scene in the frame of the bus (metres, Y up), as `engine` had it.

    By path, since labels may be shared: `bounds` of the actors whose size is known, and the horizontal field of view of `cameras` in
    radians. `settings` are those of the bridge.
    """

    engine: str
    actors: list[scene.Actor]
    bounds: dict[str, Bounds] = {}
    cameras: dict[str, float] = {}
    metrics: list[MetricsRow] = []
    settings: dict[str, str] = {}


def check(snapshot: Snapshot) -> None:
    """Raises Unexportable for the first thing that no file can hold."""
    for actor in snapshot.actors:
        for problem in _problems(actor):
            raise Unexportable(f"actor {actor.label!r} has {problem}: change it in the engine, or remove it, then export again")
    for path, bounds in snapshot.bounds.items():
        if not _near(value for vector in bounds for value in vector):
            raise Unexportable(f"the bounds of {path!r} are {bounds}: want finite numbers below {FURTHEST:g} m")
    for path, angle in snapshot.cameras.items():
        if not 0 < angle < math.pi:
            raise Unexportable(f"camera {path!r} has a field of view of {angle} rad: want one between 0 and pi")


def _problems(actor: scene.Actor) -> Iterator[str]:
    if "\0" in actor.label:  # USD's texts end there
        yield "a NUL in its label"
    if not _near(actor.position):
        yield f"the position {actor.position}, which is not finite or beyond {FURTHEST:g} m"
    if not _near(actor.scale):
        yield f"the scale {actor.scale}, which is not finite or above {FURTHEST:g}"
    if not (_near(actor.orientation) and math.hypot(*actor.orientation) > SHORTEST):
        yield f"the orientation {actor.orientation}, which is no quaternion"


def _near(values: Iterable[float]) -> bool:
    return all(abs(value) <= FURTHEST for value in values)  # false of NaN, too

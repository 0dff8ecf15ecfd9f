"""What a pose is wrong by: by noise, or because it is old, at the speeds of a trajectory. Each is a place in the true camera's frame."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct

from agents.parts.frames import Vector
from agents.parts.rigid import Rigid, turned_by
from agents.xr.observation import Observation, Source
from agents.xr.sources.trajectory import Trajectory
from agents.xr.tracking.motion import Motion, MotionFilter
from agents.xr.tracking.prediction import predicted

NANOSECONDS = 1_000_000_000
PERIOD = NANOSECONDS // 90
"""Between two poses, as a headset sends them."""
SETTLED = NANOSECONDS
"""After which the filter of a motion knows it."""


class Aged(Struct, frozen=True):
    """Where a device is believed to be when what is known of it is old: as it was then, or as that is predicted."""

    held: Rigid
    predicted: Rigid


def noise(count: int, metres: float, radians: float, seed: int) -> list[Rigid]:
    """Errors, normally distributed, with these standard deviations along and about each axis."""
    random = np.random.default_rng(seed)
    offsets, turns = random.normal(0, metres, (count, 3)), random.normal(0, radians, (count, 3))
    return [Rigid(_vector(offset), turned_by(_vector(turn))) for offset, turn in zip(offsets, turns, strict=True)]


def latency(trajectory: Trajectory, count: int, seconds: float) -> list[Aged]:
    """Errors at so many moments of a trajectory, evenly spread, when what is known is so old; none where it has a gap."""
    late = round(seconds * NANOSECONDS)
    wanted = np.linspace(SETTLED, trajectory.duration - late - PERIOD, count).astype(np.int64).tolist()
    known = ((time, place, motion) for time, place, motion in _known_at(trajectory, wanted) if trajectory.is_known(time + late))
    return [_aged(trajectory, place, motion, time, late) for time, place, motion in known]


def speeds(trajectory: Trajectory) -> tuple[float, float]:
    """How fast it is on average: metres a second, radians a second."""
    moves = [motion for _, _, motion in _followed(trajectory) if motion.linear is not None and motion.angular is not None]
    linear, angular = ([math.hypot(*each) for each in ways] for ways in zip(*((m.linear, m.angular) for m in moves), strict=True))
    return float(np.mean(linear)), float(np.mean(angular))


def _aged(trajectory: Trajectory, place: Rigid, motion: Motion, time: int, late: int) -> Aged:
    back = trajectory.at(time + late).inverse()
    return Aged(back.then(place), back.then(predicted(place, motion, late / NANOSECONDS)))


def _known_at(trajectory: Trajectory, wanted: Sequence[int]) -> Iterator[tuple[int, Rigid, Motion]]:
    """What is known at the first pose after each of these times, in ns."""
    waiting = iter(wanted)
    due = next(waiting, None)
    for time, place, motion in _followed(trajectory):
        if due is not None and time >= due:
            yield time, place, motion
            due = next(waiting, None)


def _followed(trajectory: Trajectory) -> Iterator[tuple[int, Rigid, Motion]]:
    """Each pose of the trajectory, PERIOD after PERIOD, and the motion that is known with it."""
    motions = MotionFilter()
    source = Source(name="trajectory", origin="trajectory", kind=trajectory.kind)
    for sequence, time in enumerate(range(0, trajectory.duration, PERIOD)):
        place = trajectory.at(time)
        seen = Observation(
            source=source,
            device="head",
            sequence=sequence,
            sampled=time,
            received=time,
            position=place.position,
            orientation=place.orientation,
        )
        yield time, place, motions.observe(seen)


def _vector(row: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Vector:
    x, y, z = row.tolist()
    return (x, y, z)

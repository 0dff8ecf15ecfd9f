"""How far a predicted pose is from where the device was then, against holding the last pose, on real trajectories."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from agents.parts.percentile import percentile
from agents.parts.rigid import Rigid, added, angle_between, scaled
from agents.xr.observation import Observation, Source
from agents.xr.sources.euroc import read_euroc
from agents.xr.sources.rows import content_of
from agents.xr.sources.trajectory import Trajectory
from agents.xr.sources.tum import read_tum
from agents.xr.tracking.motion import Motion, MotionFilter
from agents.xr.tracking.prediction import predicted
from benchmarks._results import Figures
from benchmarks._trajectories import EUROC, TUM

AHEAD = (0.02, 0.05, 0.1)
"""Seconds."""
RATE = 90.0
"""Of a headset, in Hz: each trajectory at its own rate, and at this one."""
NAMES = {"fr2_desk_groundtruth.txt": "fr2_desk", "freiburg1_xyz-groundtruth.txt": "freiburg1_xyz", "V102_groundtruth.csv": "V102"}
_SOURCE = Source(name="benchmark", origin="trajectory", kind="recorded")
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Errors:
    """Of each prediction: metres, and radians."""

    positions: list[float]
    angles: list[float]


def rows(folder: Path, seconds: float) -> list[Figures]:
    """A row for each trajectory, rate and time ahead, of its first `seconds`."""
    found = []
    for name, trajectory in read_all(folder):
        for rate, times in ((None, _own_times(trajectory)), (RATE, _even_times(trajectory))):
            wanted = [time for time in times if time <= seconds * _SECOND]
            found += [_row(name, rate, trajectory, wanted, ahead) for ahead in AHEAD]
    return found


def read_all(folder: Path) -> Iterator[tuple[str, Trajectory]]:
    """Raises BadTrajectory."""
    for name in (*TUM, *EUROC):
        yield NAMES[name], (read_tum if name in TUM else read_euroc)(content_of(folder / name), folder / name)


def compare(trajectory: Trajectory, times: list[int], ahead: float) -> tuple[Errors, Errors]:
    """Of the last pose held, and of the prediction, where both moments are known."""
    motions, held, guessed = MotionFilter(), Errors([], []), Errors([], [])
    for time in times:
        place = trajectory.at(time)
        motion = motions.observe(_observation(place, time))
        then = time + round(ahead * _SECOND)
        if motion.linear is not None and trajectory.is_known(then):
            truth = trajectory.at(then)
            _add(held, predicted(place, Motion(), ahead), truth)
            _add(guessed, predicted(place, motion, ahead), truth)
    return held, guessed


def _row(name: str, rate: float | None, trajectory: Trajectory, times: list[int], ahead: float) -> Figures:
    held, guessed = compare(trajectory, times, ahead)
    own = 1 / statistics.median((later - time) / _SECOND for time, later in pairwise(times))
    return {
        "trajectory": name,
        "Hz": rate or round(own),
        "ahead, ms": round(ahead * 1000),
        "poses": len(held.positions),
        "held, mm": statistics.mean(held.positions) * 1000,
        "predicted, mm": statistics.mean(guessed.positions) * 1000,
        "held p95, mm": percentile(sorted(held.positions), 0.95) * 1000,
        "predicted p95, mm": percentile(sorted(guessed.positions), 0.95) * 1000,
        "held, degrees": math.degrees(statistics.mean(held.angles)),
        "predicted, degrees": math.degrees(statistics.mean(guessed.angles)),
        "held p95, degrees": math.degrees(percentile(sorted(held.angles), 0.95)),
        "predicted p95, degrees": math.degrees(percentile(sorted(guessed.angles), 0.95)),
    }


def _own_times(trajectory: Trajectory) -> list[int]:
    return [int(time) for time in trajectory.times]


def _even_times(trajectory: Trajectory) -> list[int]:
    """At the rate of a headset, but for the gaps."""
    times = (round(number * _SECOND / RATE) for number in range(int(trajectory.duration * RATE / _SECOND) + 1))
    return [time for time in times if trajectory.is_known(time)]


def _observation(place: Rigid, time: int) -> Observation:
    return Observation(
        source=_SOURCE,
        device="head",
        sequence=0,
        sampled=time,
        received=time,
        position=place.position,
        orientation=place.orientation,
    )


def _add(errors: Errors, place: Rigid, truth: Rigid) -> None:
    errors.positions.append(math.hypot(*added(truth.position, scaled(place.position, -1))))
    errors.angles.append(angle_between(place.orientation, truth.orientation))

"""What the files of trajectories have in common: a pose a line, comments that begin with `#`, and what is wrong with either."""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

import numpy as np

from agents.parts.bounded import Unreadable, read_bounded
from agents.parts.frames import is_unit
from agents.xr.sources.trajectory import Axes, Kind, Trajectory

MOST_BYTES = 64 << 20
MOST_POSES = 1_000_000
LATEST = 1 << 62
"""Nanoseconds that a time is from zero at most: so the difference of two fits 64 bits."""
SHOWN = 80
"""Characters of a wrong line that its error shows."""
Row = tuple[int, float, float, float, float, float, float, float]
"""When, in ns; the position in metres; the orientation as x, y, z, w."""
_AXES: tuple[Axes, ...] = get_args(Axes)
_KINDS: tuple[Kind, ...] = get_args(Kind)
Choice = TypeVar("Choice", bound=str)


class BadTrajectory(ValueError):
    """A file that is no trajectory, or none that is taken; the message says where, and what to do."""


class Rows:
    """Collects the poses of a file, which must come in the order of their times."""

    def __init__(self, axes: Axes) -> None:
        self._times = array("q")
        self._numbers = array("d")
        self._axes: Axes = axes
        self._kind: Kind = "recorded"

    def note(self, comment: str) -> None:
        """Take a comment, which may say something for us, as `# kind: simulated`. Raises ValueError where it says what cannot be."""
        key, _, value = (part.strip() for part in comment.lstrip("#").partition(":"))
        if key == "axes":
            self._axes = _one_of(_AXES, value)
        elif key == "kind":
            self._kind = _one_of(_KINDS, value)

    def add(self, row: Row) -> None:
        """Take a pose. Of several with one time the first counts: TUM's own files have such. Raises ValueError."""
        _check(row)
        time, *numbers = row
        last = self._times[-1] if self._times else time - 1
        if time < last:
            raise ValueError("its time lies before that of the line above: sort the lines by time")
        if len(self._times) >= MOST_POSES:
            raise ValueError(f"want at most {MOST_POSES} poses: cut the file, or thin it out")
        if time > last:
            self._times.append(time)
            self._numbers.extend(numbers)

    def trajectory(self, name: str) -> Trajectory:
        """What was collected. Raises BadTrajectory."""
        if len(self._times) < 2:
            raise BadTrajectory(f"{name} has {len(self._times)} poses: want two at least, one a line")
        times = np.array(self._times, np.int64)
        numbers = np.array(self._numbers, np.float64).reshape(-1, 7)
        orientations = numbers[:, 3:] / np.linalg.norm(numbers[:, 3:], axis=1, keepdims=True)
        return Trajectory(
            name=name,
            kind=self._kind,
            axes=self._axes,
            times=times - times[0],
            positions=numbers[:, :3],
            orientations=orientations,
        )


def read_rows(content: bytes, path: Path, axes: Axes, parse: Callable[[str], Row]) -> Trajectory:
    """The trajectory of a file, of which the content is read; `axes` are those that its format means. `parse` raises ValueError.

    Raises BadTrajectory.
    """
    rows = Rows(axes)
    for number, line in enumerate(io.BytesIO(content), 1):
        text = line.decode("ascii", "replace").strip()
        try:
            if text.startswith("#"):
                rows.note(text)
            elif text:
                rows.add(parse(text))
        except ValueError as error:
            raise BadTrajectory(f"{path}, line {number}, {text[:SHOWN]!r}: {error}") from error
    return rows.trajectory(path.stem)


def content_of(path: Path) -> bytes:
    """What is in a file, which may be of anybody. Raises BadTrajectory."""
    try:
        return read_bounded(path, MOST_BYTES)
    except Unreadable as error:
        why = error.__cause__
        if isinstance(why, OSError):  # in words, and with the whole path: the agent may be in another folder than who asks
            raise BadTrajectory(f"{str(path.absolute())!r} cannot be read: {why.strerror}") from error
        raise BadTrajectory(str(error)) from error


def _check(row: Row) -> None:
    """What is wrong with a pose by itself. Raises ValueError."""
    time, *numbers = row
    if abs(time) >= LATEST:
        raise ValueError(f"want a time of less than {LATEST} ns from zero")
    if not all(map(math.isfinite, numbers)):
        raise ValueError("want finite numbers")
    if not is_unit((row[4], row[5], row[6], row[7])):
        raise ValueError(f"its quaternion has a length of {math.hypot(*numbers[3:]):.4g}: want 1, and the order that the format has")


def _one_of(choices: tuple[Choice, ...], value: str) -> Choice:
    for choice in choices:
        if choice == value:
            return choice
    raise ValueError(f"want one of {', '.join(choices)}")

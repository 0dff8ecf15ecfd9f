"""Trajectories in the format of the TUM RGB-D benchmark, and the comments by which ours say more.

Format: "File Formats", Computer Vision Group, TU Munich (cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats): a pose a line,
`timestamp tx ty tz qx qy qz qw`, in seconds and metres, of the camera in the world; comments begin with `#`. A world has Z up, and a
camera looks along its Z with Y down, unless a comment says otherwise:

    # axes: bus
    # kind: simulated
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

from agents.xr.sources.rows import LATEST, Row, read_rows
from agents.xr.sources.trajectory import Trajectory

_SECOND = 1_000_000_000


def read_tum(content: bytes, path: Path) -> Trajectory:
    """The trajectory of a file in its own axes. Raises BadTrajectory."""
    return read_rows(content, path, "optical", parse)


def parse(line: str) -> Row:
    """The pose of a line. Raises ValueError."""
    fields = line.split()
    if len(fields) != 8:
        raise ValueError(f"want 8 numbers, `timestamp tx ty tz qx qy qz qw`, not {len(fields)}")
    x, y, z, qx, qy, qz, qw = map(float, fields[1:])
    return (_nanoseconds(fields[0]), x, y, z, qx, qy, qz, qw)


def write(time: int, position: tuple[float, float, float], orientation: tuple[float, float, float, float]) -> str:
    """The line of a pose at `time`, in ns."""
    numbers = " ".join(f"{number:.6f}" for number in (*position, *orientation))
    return f"{time // _SECOND}.{time % _SECOND:09d} {numbers}\n"


def _nanoseconds(seconds: str) -> int:
    """To the last digit: a float of seconds since 1970 is off by a tenth of a microsecond."""
    try:
        time = Decimal(seconds)
    except InvalidOperation:
        raise ValueError(f"want a time in seconds, not {seconds!r}") from None
    if not time.is_finite() or abs(time) >= LATEST // _SECOND:
        raise ValueError(f"want a time in seconds, less than {LATEST // _SECOND} from zero")
    return int(time * _SECOND)

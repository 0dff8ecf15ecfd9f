"""Trajectories in the format of the EuRoC MAV dataset.

Format: "The EuRoC micro aerial vehicle datasets" (Burri and others, 2016), `state_groundtruth_estimate0/data.csv`: a pose a line, the
time in ns, the position in metres, and the quaternion as w, x, y, z; then velocities and biases of sensors, which are of no use here.
They are of the drone's inertial sensor, in a world with Z up.
"""

from __future__ import annotations

from pathlib import Path

from agents.xr.sources.rows import Row, read_rows
from agents.xr.sources.trajectory import Trajectory


def read_euroc(content: bytes, path: Path) -> Trajectory:
    """The trajectory of a file in its own axes. Raises BadTrajectory."""
    return read_rows(content, path, "euroc", parse)


def parse(line: str) -> Row:
    """The pose of a line. Raises ValueError."""
    fields = line.split(",")
    if len(fields) < 8:
        raise ValueError(f"want 8 numbers at least with commas between, `ns, x, y, z, qw, qx, qy, qz`, not {len(fields)}")
    x, y, z, qw, qx, qy, qz = map(float, fields[1:8])
    return (int(fields[0]), x, y, z, qx, qy, qz, qw)

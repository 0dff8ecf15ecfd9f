"""Finds the trajectory that somebody names, in whatever format it is, and puts it into the frame of the bus."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agents.parts.frames import Vector
from agents.xr.sources.axes import in_bus
from agents.xr.sources.euroc import read_euroc
from agents.xr.sources.placing import placed
from agents.xr.sources.rows import BadTrajectory, content_of
from agents.xr.sources.trajectory import Axes, Trajectory
from agents.xr.sources.tum import read_tum

SHIPPED = Path(__file__).parents[1] / "trajectories"
"""The folder of those that come with the agent."""
_HEAD = 65536
"""Bytes from the beginning of a file in which its first pose is looked for."""


def read(trajectory: str, axes: Axes | None = None, start: Vector | None = None) -> Trajectory:
    """The trajectory of a file, or of one that comes with the agent, such as `desk`. `axes` are of its poses, null: what the file says,
    else what its format means. With `start` it begins there and looks along -Z. Raises BadTrajectory.

    It reads a file of up to 64 MiB: not for an event loop.
    """
    path = find(trajectory)
    content = content_of(path)
    found = read_euroc(content, path) if _has_commas(content) else read_tum(content, path)
    moved = in_bus(found if axes is None else msgspec.structs.replace(found, axes=axes))
    return moved if start is None else placed(moved, start)


def find(trajectory: str) -> Path:
    """Raises BadTrajectory where a name is none of those that come with the agent."""
    if "/" in trajectory:
        return Path(trajectory)
    shipped = sorted(path.stem for path in SHIPPED.glob("*.tum"))
    if trajectory not in shipped:
        raise BadTrajectory(
            f"there is no trajectory {trajectory!r}: want one of {', '.join(shipped)}, or the path of a file, with a slash: ./{trajectory}"
        )
    return SHIPPED / f"{trajectory}.tum"


def _has_commas(content: bytes) -> bool:
    """Whether the first pose has commas between its numbers, as EuRoC's."""
    lines = content[:_HEAD].splitlines()
    return b"," in next((line for line in lines if line.strip() and not line.lstrip().startswith(b"#")), b"")

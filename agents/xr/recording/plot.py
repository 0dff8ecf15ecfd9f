"""Draws a trajectory: `python -m agents.xr.recording.plot TRAJECTORY PICTURE`, a process of its own.

matplotlib takes a second to import and 50 MB, and the agent shall pay neither. The same trajectory gives the same bytes. The process ends
with its standard input, a pipe from whoever started it.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from agents.xr.sources.reading import read
from agents.xr.sources.trajectory import GAP, Trajectory
from bus.parent import end_with_input

NICENESS = 10
SIZE = (10.0, 5.6)
"""Inches, at DPI dots each."""
DPI = 120
BLUE, RED, GREY = "#2166ac", "#d6604d", "#555555"
LOOKS = 12
"""Arrows along the way that show where the device looks."""
NARROWEST = 0.05
"""Metres, or metres a second, that an axis shows at least: or a device at rest would show its noise alone."""
Numbers = NDArray[np.float64]


def main() -> None:
    os.nice(NICENESS)
    end_with_input()
    trajectory, picture = map(Path, sys.argv[1:])
    try:
        draw(trajectory, picture)
    except Exception as error:  # whatever it was, who started this shows its last line
        sys.exit(f"{type(error).__name__}: {error}")


def draw(file: Path, picture: Path) -> None:
    """Draw one file into another. Raises OSError, BadTrajectory."""
    trajectory = read(str(file.absolute()))
    matplotlib.rcdefaults()  # a matplotlibrc of the user's would make another picture of the same poses
    drawn = io.BytesIO()
    figure_of(trajectory).savefig(drawn, format="png", dpi=DPI, metadata={"Software": None, "Source": trajectory.kind})
    picture.write_bytes(drawn.getvalue())


def figure_of(trajectory: Trajectory) -> Figure:
    """From above on the left; height and speed over the time on the right."""
    figure = Figure(figsize=SIZE, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    FigureCanvasAgg(figure)
    above, height, speed = figure.subplot_mosaic([["above", "height"], ["above", "speed"]], width_ratios=[1.1, 1.0]).values()
    seconds = trajectory.times / 1e9
    _draw_above(above, trajectory)
    _draw_line(height, seconds, _broken(trajectory, trajectory.positions[:, 1]), "height, m", BLUE)
    _draw_line(speed, seconds, _speeds(trajectory), "speed, m/s", RED)
    speed.set_ylim(bottom=0)
    speed.set_xlabel("seconds")
    figure.suptitle(
        f"{trajectory.name}: {trajectory.kind}, {len(seconds)} poses in {seconds[-1]:.1f} s", x=0.01, ha="left", parse_math=False
    )
    return figure


def _draw_above(axes: Axes, trajectory: Trajectory) -> None:
    """As on a map: ahead, which is -Z, is up."""
    x, z = (_broken(trajectory, trajectory.positions[:, axis]) for axis in (0, 2))
    axes.plot(x, z, color=BLUE, linewidth=1.2)
    axes.plot(x[0], z[0], "o", color=BLUE, label="begins")
    axes.plot(x[-1], z[-1], "s", color=RED, label="ends")
    _draw_looks(axes, trajectory)
    axes.set_aspect("equal", adjustable="datalim")
    axes.invert_yaxis()
    axes.set_xlabel("x (right), m")
    axes.set_ylabel("z (back), m")
    axes.set_title("from above; arrows: where it looks", loc="left", fontsize=10)
    axes.legend(frameon=False, loc="best")
    _tidy(axes)


def _draw_looks(axes: Axes, trajectory: Trajectory) -> None:
    numbers = np.linspace(0, len(trajectory.times) - 1, LOOKS).round().astype(int)
    looks = np.array([trajectory.pose(number).apply((0.0, 0.0, -1.0)) for number in numbers]) - trajectory.positions[numbers]
    x, _, z = trajectory.positions[numbers].T
    axes.quiver(x, z, looks[:, 0], looks[:, 2], angles="xy", color=GREY, width=0.004, scale=14)


def _draw_line(axes: Axes, seconds: Numbers, values: Numbers, label: str, colour: str) -> None:
    axes.plot(seconds, values, color=colour, linewidth=1.1)
    low, high = axes.get_ylim()
    if high - low < NARROWEST:
        axes.set_ylim((low + high - NARROWEST) / 2, (low + high + NARROWEST) / 2)
    axes.set_ylabel(label)
    _tidy(axes)


def _speeds(trajectory: Trajectory) -> Numbers:
    """Metres a second on the way to each pose, the first one's unknown."""
    ways = np.linalg.norm(np.diff(trajectory.positions, axis=0), axis=1)
    return _broken(trajectory, np.concatenate([[np.nan], ways / (np.diff(trajectory.times) / 1e9)]))


def _broken(trajectory: Trajectory, values: Numbers) -> Numbers:
    """Values of its poses, without the one behind each gap: no line leads over that."""
    return np.where(np.diff(trajectory.times, prepend=0) > GAP, np.nan, values)


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()

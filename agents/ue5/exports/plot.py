"""Draws performance.png from metrics.jsonl: `python -m agents.ue5.exports.plot METRICS PICTURE`, a process of its own.

matplotlib takes a second to import and 50 MB, and the bridge shall pay neither. The same lines give the same bytes. The process ends
with its standard input, a pipe from whoever started it.
"""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import msgspec
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from agents.ue5.exports.performance import Line
from bus.parent import end_with_input

NICENESS = 10
SIZE = (10.0, 5.6)
"""Inches, at DPI dots each."""
DPI = 120
HEADROOM = 1.1
BLUE, RED = "#2166ac", "#d6604d"


def main() -> None:
    os.nice(NICENESS)
    end_with_input()
    metrics, picture = map(Path, sys.argv[1:])
    try:
        draw(metrics, picture)
    except Exception as error:  # whatever it was, who started this shows its last line
        sys.exit(f"{type(error).__name__}: {error}")


def draw(metrics: Path, picture: Path) -> None:
    """Draw the lines of one file, at least one, into another. Raises OSError, msgspec.DecodeError."""
    lines = msgspec.json.Decoder(Line).decode_lines(metrics.read_bytes())
    matplotlib.rcdefaults()  # a matplotlibrc of the user's would make another picture of the same lines
    drawn = io.BytesIO()
    figure_of(lines).savefig(drawn, format="png", dpi=DPI, metadata={"Software": None, "Source": lines[-1].engine})
    picture.write_bytes(drawn.getvalue())


def figure_of(lines: Sequence[Line]) -> Figure:
    """Frames a second above, round trips below, over the seconds since the first line."""
    figure = Figure(figsize=SIZE, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.1))
    FigureCanvasAgg(figure)
    rates, trips = figure.subplots(2, 1, sharex=True)
    seconds = [(line.time_ns - lines[0].time_ns) / 1e9 for line in lines]
    _draw_rates(rates, seconds, lines)
    _draw_trips(trips, seconds, lines)
    rates.set_title(lines[-1].engine, loc="left", fontsize=13, fontweight="bold", pad=10, parse_math=False)
    return figure


def _draw_rates(axes: Axes, seconds: list[float], lines: Sequence[Line]) -> None:
    axes.plot(seconds, [_known(line.rate) for line in lines], ".-", color=BLUE, linewidth=1.2)
    axes.set_ylabel("frames a second")
    _tidy(axes)


def _draw_trips(axes: Axes, seconds: list[float], lines: Sequence[Line]) -> None:
    axes.plot(seconds, [_known(line.round_trip_p99) * 1e3 for line in lines], ".-", color=RED, linewidth=1.0, label="p99")
    axes.plot(seconds, [_known(line.round_trip_p50) * 1e3 for line in lines], ".-", color=BLUE, linewidth=1.2, label="median")
    axes.set_ylabel("round trip, ms")
    axes.set_xlabel("seconds")
    axes.legend(frameon=False, loc="best")
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.set_ylim(0, HEADROOM * axes.get_ylim()[1])
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _known(figure: float | None) -> float:
    """A gap in the line, where it is not known."""
    return math.nan if figure is None else figure


if __name__ == "__main__":
    main()

"""Draws `loss_curve.png` from a run's other files: `python -m agents.recorder.curve FOLDER...`, a process of its own.

matplotlib takes a second to import and 50 MB, and the recorder shall pay neither. The same files give the same bytes. The process ends
with its standard input, a pipe from whoever started it.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import msgspec
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from agents.recorder.run_files import CURVE, HELDOUT, PICTURE
from agents.recorder.run_summary import RunSummary
from bus.parent import end_with_input

NICENESS = 10
SIZE = (10.0, 5.6)
"""Inches, at DPI dots each."""
DPI = 120
SMOOTHED, YOUNG = 50, 10
"""The smoothed loss is a running mean over a fiftieth of the steps, and nowhere over more than a tenth of those before it."""
TRAINING, HELD_OUT, QUIET = "#2166ac", "#d6604d", "#666666"
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """What the picture shows. Losses in nats per token, held-out ones also in bits per byte."""

    summary: RunSummary
    steps: Column
    losses: Column
    heldout_steps: Column
    heldout_losses: Column
    heldout_bits: Column


def main() -> None:
    os.nice(NICENESS)
    end_with_input()
    failed = False
    for folder in map(Path, sys.argv[1:]):
        try:
            draw(folder)
        except Exception as error:  # of one run: the others have their pictures all the same
            failed = True
            sys.stderr.write(f"{folder.name}: {type(error).__name__}: {error}\n")
    sys.exit(failed)


def draw(folder: Path) -> None:
    """Draw the run in `folder`, whole or not at all; one without a step has no picture."""
    run = read(folder)
    if not len(run.steps):
        return
    matplotlib.rcdefaults()  # a matplotlibrc of the user's would make another picture of the same run
    drawn = io.BytesIO()
    picture(run).savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    temporary = folder / f".{PICTURE}.new"
    temporary.write_bytes(drawn.getvalue())
    temporary.replace(folder / PICTURE)


def read(folder: Path) -> Run:
    """Read run.json and both CSV files."""
    summary = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunSummary)
    steps, losses = _columns(folder / CURVE, 2)
    return Run(summary, steps, losses, *_columns(folder / HELDOUT, 3))


def picture(run: Run) -> Figure:
    figure = Figure(figsize=SIZE, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.1))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_losses(axes, run)
    _draw_axes(axes, run)
    axes.set_title(run.summary.run, loc="left", fontsize=13, fontweight="bold", pad=10)
    axes.set_title(describe(run.summary), loc="right", fontsize=9, color=QUIET, pad=10)
    figure.supxlabel(conclude(run), fontsize=10)
    return figure


def smooth(losses: Column) -> Column:
    """A running mean whose weights fall exponentially. At the start, where the loss falls most, it has a short memory."""
    longest, mean, smoothed = max(1.0, len(losses) / SMOOTHED), 0.0, np.empty_like(losses)
    for index, loss in enumerate(losses):
        mean += (loss - mean) / min(longest, 1 + index / YOUNG)
        smoothed[index] = mean
    return smoothed


def describe(summary: RunSummary) -> str:
    """The run in a line: what was trained, on what."""
    hyper = summary.hyperparameters
    parts = (
        f"{hyper.recipe}, {_short(summary.parameters)} parameters",
        f"batch {hyper.batch} x {hyper.context} tokens",
        f"seed {hyper.seed}",
        summary.device,
    )
    return "  ·  ".join(parts)


def conclude(run: Run) -> str:
    """The last figures in a line."""
    step = int(run.steps[-1])
    parts = [
        f"{run.summary.outcome}, step {step} of {run.summary.hyperparameters.steps}",
        f"training loss {smooth(run.losses)[-1]:.3f} (smoothed)",
    ]
    if len(run.heldout_losses):
        parts.append(f"held-out loss {run.heldout_losses[-1]:.3f} ({run.heldout_bits[-1]:.3f} bits per byte)")
    return "   ·   ".join((*parts, f"{_short(step * run.summary.hyperparameters.tokens_per_step)} tokens"))


def _draw_losses(axes: Axes, run: Run) -> None:
    point = "o" if len(run.steps) == 1 else None
    axes.plot(run.steps, run.losses, color=TRAINING, alpha=0.25, linewidth=0.8, marker=point, label="training, each step")
    axes.plot(run.steps, smooth(run.losses), color=TRAINING, linewidth=1.8, label="training, smoothed")
    if len(run.heldout_steps):
        axes.plot(run.heldout_steps, run.heldout_losses, "o-", color=HELD_OUT, markersize=5, linewidth=1.0, label="held out")
    axes.legend(frameon=False, loc="upper right")


def _draw_axes(axes: Axes, run: Run) -> None:
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats per token")
    axes.set_xlim(0, run.steps[-1] * 1.01)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    each = run.summary.hyperparameters.tokens_per_step
    tokens = axes.secondary_xaxis("top", functions=(lambda step: np.multiply(step, each), lambda count: np.divide(count, each)))
    tokens.set_xlabel("tokens seen", fontsize=9, color=QUIET)
    tokens.tick_params(labelsize=8, colors=QUIET)
    tokens.spines["top"].set_color(QUIET)
    tokens.xaxis.set_major_formatter(FuncFormatter(lambda count, _: _short(count)))


def _columns(path: Path, count: int) -> list[Column]:
    """The first columns of a CSV file with a heading; a last line that is still being written is left out."""
    lines = path.read_text().split("\n")[1:-1]
    rows = [[float(cell) for cell in line.split(",")[:count]] for line in lines]
    return list(np.array(rows, np.float64).reshape(-1, count).T)


def _short(count: float) -> str:
    """123456 as 123k: three digits, or fewer where they say the same."""
    size, unit = next(((size, unit) for size, unit in UNITS if count >= size), (1.0, ""))
    return f"{float(f'{count / size:.3g}'):g}{unit}"


if __name__ == "__main__":
    main()

"""How well a head is predicted on real trajectories, and how late its poses are on the bus and in the engine: `./dev bench pose`.

A prediction's peer is the last pose, held: what an overlay shows without one. Poses come from a page without a browser, over the page's
own WebSocket, 90 times a second, and the engine's camera follows them as in the appliance. `--quick` shows only that it works.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _pose_latency as latency
from benchmarks import _prediction as prediction
from benchmarks._appliance import appliance
from benchmarks._results import FOLDER, Figures, save, show
from benchmarks._trajectories import NoTrajectories, find_trajectories
from bus.home import CHECKOUT, Home

TITLES = {
    "prediction": "Where the device was then, from the last pose and as predicted (means and percentiles of each trajectory)",
    "latency": "A headset's poses at 90 a second",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """So many seconds of each trajectory, and of each turn of the headset."""

    trajectory: float
    turn: float


FULL = Plan(trajectory=120.0, turn=20.0)
QUICK = Plan(trajectory=5.0, turn=2.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench pose", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a little of each trajectory, short turns")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/pose.json)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # which ends what was started
    output = options.output or FOLDER / ("pose-quick.json" if options.quick else "pose.json")
    try:
        trajectories = find_trajectories(Home(CHECKOUT).cache)
    except NoTrajectories as reason:
        sys.exit(f"pose: {reason}")
    measure(QUICK if options.quick else FULL, trajectories, output)


def measure(plan: Plan, trajectories: Path, output: Path) -> None:
    """Run the whole plan, print its tables, and write them to `output`. Raises what its parts raise."""
    began = time.monotonic()
    tables: dict[str, list[Figures]] = {"prediction": prediction.rows(trajectories, plan.trajectory)}
    with tempfile.TemporaryDirectory(prefix="zp-bench-") as folder, appliance(Path(folder)) as running:
        tables["latency"] = latency.rows(running, plan.turn)
    for title, rows in tables.items():
        sys.stdout.write(f"\n{TITLES[title]}\n")
        show(rows)
    output.parent.mkdir(exist_ok=True)
    save(output, **tables, seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()

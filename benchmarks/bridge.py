"""What moving actors costs, by the way that the moves take, and how fast the embedded engine draws: `./dev bench bridge`.

Moves go to the engine that runs as it does in the appliance, at 60 frames a second with 100 bodies. `websockets + json` is a peer: a
server as a script would have it, with no scene behind it, asked by the same client. All take turns. Then the engine draws as fast as it
can. `--quick` shows only that it works.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from agents.engine.render.pipes import PROBE_SECONDS, probe
from benchmarks import _bridge_frames as frames
from benchmarks import _bridge_moves as moves
from benchmarks._appliance import Running, appliance
from benchmarks._results import FOLDER, Figures, save, show

TITLES = {
    "moves": "Moves, as they are answered (medians of the rounds)",
    "frames": "Frames a second, as fast as the engine can (medians of seconds)",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` in which each way of moving has a turn of so many seconds, and each engine one of whole seconds of frames."""

    rounds: int
    seconds: float
    frame_rounds: int
    frame_seconds: int
    sizes: tuple[tuple[int, int], ...]
    bodies: tuple[int, ...]


FULL = Plan(rounds=5, seconds=3.0, frame_rounds=2, frame_seconds=5, sizes=((640, 360), (1280, 720)), bodies=(100, 1000))
QUICK = Plan(rounds=1, seconds=0.3, frame_rounds=1, frame_seconds=1, sizes=((320, 180),), bodies=(10,))


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench bridge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small pictures, short turns")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/bridge.json)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # which ends what was started
    output = options.output or FOLDER / ("bridge-quick.json" if options.quick else "bridge.json")
    measure(QUICK if options.quick else FULL, output)


def measure(plan: Plan, output: Path) -> None:
    """Run the whole plan, print its tables, and write them to `output`. Raises ChildFailed, BusError, OSError."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zp-bench-") as folder, appliance(Path(folder)) as running:
        tables: dict[str, list[Figures]] = {"moves": measure_moves(running, plan), "frames": measure_frames(running, plan)}
    for title, rows in tables.items():
        sys.stdout.write(f"\n{TITLES[title]}\n")
        show(rows)
    output.parent.mkdir(exist_ok=True)
    save(output, **tables, seconds=time.monotonic() - began)


def measure_moves(running: Running, plan: Plan) -> list[Figures]:
    started = [running.start(name, BUS_ENGINE_HTTP_PORT="0", BUS_ENGINE_WEBSOCKET_PORT="0") for name in ("engine", "ue5")]
    try:
        with moves.ways(running, running.stage) as ways:
            taking = ways | moves.event_ways(running)
            return moves.rows(moves.move_in_turns(running, taking, plan.rounds, plan.seconds))
    finally:
        for child in reversed(started):
            child.end()


def measure_frames(running: Running, plan: Plan) -> list[Figures]:
    renderers = ["software"] if probe(PROBE_SECONDS, threading.Event()) is not None else ["software", "gl"]
    wanted = frames.cases(renderers, plan.sizes, plan.bodies)
    return frames.rows(frames.draw_in_turns(running, wanted, plan.frame_rounds, plan.frame_seconds))


if __name__ == "__main__":
    main()

"""How far the overlay is off, and what that depends on: `./dev bench overlay`.

A camera with a lens that bends looks at the board on the desk of the embedded engine's default scene; the layer over its picture is what
the engine draws by an estimated pose and a calibrated camera. The error is the overlay's own measure: the board's corners in the camera's
picture against those of the drawn twin, found by OpenCV in both, RMS in pixels. `--quick` shows only that it works.
"""

from __future__ import annotations

import argparse
import itertools
import math
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from agents.parts.percentile import percentile
from agents.parts.rigid import Rigid
from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay.blending import laid_over, seen_through
from agents.xr.overlay.lens import maps
from agents.xr.overlay.measuring import Measured, measured
from agents.xr.sources.reading import read
from agents.xr.sources.trajectory import Trajectory
from benchmarks import _overlay_errors as errors
from benchmarks._overlay_cameras import SIZE, TRUE, Known, known_cameras
from benchmarks._overlay_scene import DeskScene
from benchmarks._results import FOLDER, Figures, save, show
from benchmarks._trajectories import EUROC, TUM, NoTrajectories, find_trajectories
from bus.home import CHECKOUT, Home
from schemas.cameras import CameraModel
from schemas.engine import Intrinsics

TITLES = {
    "exact": "Without noise, by the size in which the engine draws",
    "noise": "By noise of the pose: standard deviations along and about each axis",
    "latency": "By the age of the pose, at the speeds of real trajectories",
    "work": "What a picture costs, ms (medians)",
}
NOISE = [(0.0, 0.0), *[(mm * 1e-3, 0.0) for mm in (0.5, 1, 2, 5, 10)], *[(0.0, math.radians(angle)) for angle in (0.05, 0.1, 0.2, 0.5, 1)]]
AGES = (0.0, 0.01, 0.02, 0.05, 0.1)
SEED = 9


@dataclass(frozen=True, slots=True)
class Plan:
    """`views` of the board; `samples` of each kind of error; `repeats` of what is timed. The engine draws in `sizes`."""

    views: int
    samples: int
    repeats: int
    sizes: tuple[tuple[int, int], ...]


FULL = Plan(views=12, samples=48, repeats=50, sizes=((640, 360), (960, 540), (1280, 720)))
QUICK = Plan(views=2, samples=2, repeats=2, sizes=((640, 360),))


@dataclass(frozen=True, slots=True)
class Sight:
    """A place from which the board is seen, and what the true camera sees there."""

    place: Rigid
    picture: Pixels


class Bench:
    """A scene, and the views of the board in it."""

    def __init__(self, scene: DeskScene, views: int) -> None:
        self._scene = scene
        path = read("desk")
        places = [path.at(round(share * path.duration)) for share in np.arange(views) / views]
        self.views = [Sight(place, scene.photograph(place, TRUE)) for place in places]

    def off(self, view: Sight, error: Rigid, camera: CameraModel = TRUE) -> Measured | None:
        """What is measured there when the pose is wrong by `error`, and the camera was calibrated to be `camera`."""
        layer, drawn = self._scene.layer(view.place.then(error), camera)
        return measured(view.picture, seen_through(layer, maps(camera, drawn)))

    def off_by_all(self, wrong: Iterable[Rigid]) -> list[Measured]:
        """The views take turns. Where too little of the board is in both pictures there is none."""
        found = (self.off(view, error) for view, error in zip(itertools.cycle(self.views), wrong, strict=False))
        return [each for each in found if each is not None]


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench overlay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few views, few samples")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/overlay.json)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    output = options.output or FOLDER / ("overlay-quick.json" if options.quick else "overlay.json")
    measure(QUICK if options.quick else FULL, _trajectories(options.quick), output)


def measure(plan: Plan, moving: Sequence[Trajectory], output: Path) -> None:
    """Run the whole plan, print its tables, and write them to `output`. Raises OSError."""
    began = time.monotonic()
    tables = {"exact": [exact(plan, size, known) for known in known_cameras() for size in plan.sizes]}
    with closing(DeskScene(*SIZE)) as scene:
        bench = Bench(scene, plan.views)
        tables["noise"] = [noise(bench, plan, *each) for each in NOISE]
        tables["latency"] = [latency(bench, plan, trajectory, age) for trajectory in moving for age in AGES]
    tables["work"] = [work(plan, size) for size in plan.sizes]
    for title, rows in tables.items():
        sys.stdout.write(f"\n{TITLES[title]}\n")
        show(rows)
    output.parent.mkdir(exist_ok=True)
    save(output, **tables, seconds=time.monotonic() - began)


def exact(plan: Plan, size: tuple[int, int], known: Known) -> Figures:
    """Against the camera's picture, and against OpenCV's projection of the board."""
    with closing(DeskScene(*size)) as scene:
        bench = Bench(scene, plan.views)
        looked = [(view, bench.off(view, known.mount, known.camera)) for view in bench.views]
        found = [(view, each) for view, each in looked if each is not None]
        truly = [replace(each, seen=scene.corners(view.place, TRUE)[each.numbers]) for view, each in found]
    return {
        "known": known.how,
        "drawn": f"{size[0]}x{size[1]}",
        **spread([each for _, each in found]),
        "from cv2.projectPoints": rms(truly),
    }


def noise(bench: Bench, plan: Plan, metres: float, radians: float) -> Figures:
    found = bench.off_by_all(errors.noise(plan.samples, metres, radians, SEED))
    return {"mm": metres * 1e3, "degrees": math.degrees(radians), **spread(found)}


def latency(bench: Bench, plan: Plan, trajectory: Trajectory, age: float) -> Figures:
    aged = errors.latency(trajectory, plan.samples, age)
    held, predicted = bench.off_by_all(each.held for each in aged), bench.off_by_all(each.predicted for each in aged)
    metres, radians = errors.speeds(trajectory)
    return {
        "trajectory": trajectory.name,
        "m/s": metres,
        "degrees/s": math.degrees(radians),
        "ms": age * 1e3,
        "held, px": rms(held),
        "predicted, px": rms(predicted),
        "worst held": max(each.error for each in held),
        "worst predicted": max(each.error for each in predicted),
        "pictures": min(len(held), len(predicted)),
    }


def work(plan: Plan, size: tuple[int, int]) -> Figures:
    """The steps of one picture, in whose size the engine draws, too."""
    width, height = size
    lens = Intrinsics(width=width, height=height, fx=0.8 * width, fy=0.8 * width, cx=width / 2, cy=height / 2)
    camera = CameraModel(intrinsics=lens, distortion=TRUE.distortion)
    with closing(DeskScene(*size)) as scene:
        place = read("desk").at(0)
        picture, (layer, drawn) = scene.photograph(place, camera), scene.layer(place, camera)
    files = [cv2.imencode(kind, pixels)[1] for kind, pixels in ((".jpg", picture), (".png", layer))]
    seen = seen_through(layer, maps(camera, drawn))
    steps: dict[str, Callable[[], object]] = {
        "decode": lambda: [cv2.imdecode(file, cv2.IMREAD_UNCHANGED) for file in files],
        "lens": lambda: seen_through(layer, maps(camera, drawn)),
        "blend": lambda: laid_over(picture, seen, 0.6),
        "encode": lambda: cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85]),
        "measure, once a second": lambda: measured(picture, seen),
    }
    return {"size": f"{width}x{height}", **{name: _milliseconds(step, plan.repeats) for name, step in steps.items()}}


def spread(found: Sequence[Measured]) -> Figures:
    """Of many pictures: RMS over all corners, and the pictures' own RMS by rank."""
    own = sorted(each.error for each in found)
    return {"RMS, px": rms(found), "p95": percentile(own, 0.95), "worst": own[-1], "pictures": len(own)}


def rms(found: Sequence[Measured]) -> float:
    """Over all corners of all pictures."""
    squares = np.concatenate([((each.drawn - each.seen) ** 2).sum(axis=1) for each in found])
    return math.sqrt(float(squares.mean()))


def _milliseconds(step: Callable[[], object], repeats: int) -> float:
    step()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e3


def _trajectories(quick: bool) -> list[Trajectory]:
    """Real ones, which are fetched at first; where it has to be quick, the one that comes with the agent."""
    if quick:
        return [read("desk")]
    try:
        folder = find_trajectories(Home(CHECKOUT).cache)
    except NoTrajectories as reason:
        sys.exit(f"overlay: {reason}")
    return [read(str(folder / name)) for name in (*TUM, *EUROC)]


if __name__ == "__main__":
    main()

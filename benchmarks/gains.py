"""What each kernel in C gains on a CPU, one more at a time, beside PyTorch: `./dev bench gains`. It takes seven minutes.

As in `benchmarks.train`: same weights, same text, a process for each, in turns, medians of the rounds.
"""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
from pathlib import Path

import msgspec

from agents.parts.recipes import RECIPES, Recipe
from benchmarks._judge import NoJudge, find_judge
from benchmarks._processes import stage
from benchmarks._results import Figures, report
from benchmarks._training import OURS, PYTORCH, Entrant, Trained, environment, trainers
from benchmarks.trainers.job import Job
from benchmarks.trainers.stages import STAGES

ROUNDS, SECONDS, FIRST_STEPS = 3, 2.0, 4
ON_THE_CPU = {"DEV": "CPU", "CUDA_VISIBLE_DEVICES": ""}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    try:
        judge = find_judge()
    except NoJudge as reason:
        sys.exit(f"gains: {reason}")
    report("gains", [row for name in ("tiny", "small") for row in gains(RECIPES[name], judge)])


def gains(recipe: Recipe, judge: Path) -> list[Figures]:
    """A row for PyTorch and for each stage."""
    with tempfile.TemporaryDirectory(prefix="zp-bench-") as folder, stage(Path(folder)) as opened:
        entrants = {}
        for name, command in contenders(recipe, Path(folder), judge).items():
            sys.stderr.write(f"{recipe.name}: the first steps of {name}\n")
            entrants[name] = Entrant(opened, name, command, environment(Path(folder), name) | ON_THE_CPU)
            entrants[name].settle(FIRST_STEPS, SECONDS)
        for number in range(ROUNDS):
            sys.stderr.write(f"{recipe.name}: round {number + 1} of {ROUNDS}\n")
            for entrant in entrants.values():
                entrant.take_turn()
    return [row(recipe, name, entrant.trained, entrants[PYTORCH].trained) for name, entrant in entrants.items()]


def contenders(recipe: Recipe, folder: Path, judge: Path) -> dict[str, list[str]]:
    """Their commands: PyTorch's, and ours once for each stage."""
    commands = trainers(recipe, folder, judge, compiled=False)
    *ours, text = commands[OURS]
    job = msgspec.json.decode(text, type=Job)
    jobs = (msgspec.structs.replace(job, stage=number) for number in range(len(STAGES)))
    staged = {name: [*ours, msgspec.json.encode(each).decode()] for name, each in zip(STAGES, jobs, strict=True)}
    return {PYTORCH: commands[PYTORCH], **staged}


def row(recipe: Recipe, name: str, trained: Trained, plain: Trained) -> Figures:
    ratios = [other / own for own, other in zip(trained.seconds, plain.seconds, strict=True)]
    return {
        "cumulative": name,
        "recipe": recipe.name,
        "ms a step": statistics.median(trained.seconds) * 1e3,
        "ratio to PyTorch": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


if __name__ == "__main__":
    main()

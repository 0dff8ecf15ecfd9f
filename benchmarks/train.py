"""How fast the trainer is beside PyTorch: `./dev bench train`. `--quick` shows in a minute that it works, not how fast.

Same weights, same text, same machine, as many threads for each as there are cores. Every contender is a process of its own; they take
turns, so that all of them meet the same machine, and what is printed are medians of the rounds.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from agents.parts.recipes import RECIPES
from benchmarks import _training_figures as figures
from benchmarks._judge import NoJudge, find_judge
from benchmarks._results import FOLDER, Figures, save, show
from benchmarks._training import THREADS, Plan, Trained, lacking, train_in_turns

FULL = Plan(recipes=("tiny", "small"), rounds=7, seconds=4.0, agreeing=20, product=2048, compiled=True)
QUICK = Plan(recipes=("micro",), rounds=2, seconds=0.1, agreeing=3, product=256, compiled=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a recipe for tests, a few steps, and no torch.compile")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/train.json)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # which ends the contenders
    output = options.output or FOLDER / ("train-quick.json" if options.quick else "train.json")
    try:
        measure(QUICK if options.quick else FULL, find_judge(), output)
    except NoJudge as reason:
        sys.exit(f"train: {reason}")


def measure(plan: Plan, judge: Path, output: Path) -> None:
    """Run the whole plan, print its tables, and write them to `output`."""
    began = time.monotonic()
    tables: dict[str, list[Figures]] = {title: [] for title in figures.TITLES}
    missing = [reason for reason in (lacking(),) if reason and plan.compiled]
    for reason in missing:
        sys.stderr.write(f"left out: {reason}\n")
    runs: dict[str, Trained] = {}
    for recipe in (RECIPES[name] for name in plan.recipes):
        runs = train_in_turns(recipe, plan, judge)
        tables["speed"] += figures.speed(recipe, runs, plan.product)
        tables["start"] += figures.start(recipe, runs)
        tables["agreement"] += figures.agreement(recipe, runs)
        tables["products"] += figures.products(recipe, runs, plan.product)
    for title, rows in tables.items():
        sys.stdout.write(f"\n{figures.TITLES[title]}\n")
        show(rows)
    versions = {name: trained.last.versions for name, trained in runs.items()}
    output.parent.mkdir(exist_ok=True)
    seconds = time.monotonic() - began
    save(output, **tables, threads=THREADS, versions=versions, missing=missing, rounds=plan.rounds, seconds=seconds)


if __name__ == "__main__":
    main()

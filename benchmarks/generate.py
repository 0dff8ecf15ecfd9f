"""How fast text comes from an exported model, beside onnxruntime-genai: `./dev bench generate`. `--quick` shows only that it works.

Same folder, same prompt, the likeliest token each time, as many threads for each as there are cores. Each contender is a process of its
own; they take turns, so that both meet the same machine, and what is printed are medians of the rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import time
from pathlib import Path

from agents.parts.recipes import RECIPES, Recipe
from benchmarks import _generation_figures as figures
from benchmarks._generation import Model, Plan, write_in_turns
from benchmarks._results import FOLDER, Figures, save, show
from benchmarks._training import THREADS

WIDE = Recipe(
    name="wide", layers=8, width=512, heads=8, kv_heads=4, ffn=1408, vocabulary=8192, context=1024, batch=1, learning_rate=1e-3
)  # fmt: skip
"""Wide enough that reading the weights takes longer than calling for them."""
FULL = Plan(models=(Model(RECIPES["tiny"], "float32"), Model(WIDE, "float32"), Model(WIDE, "int4")), rounds=7, seconds=4.0)
QUICK = Plan(models=(Model(RECIPES["micro"], "float32"),), rounds=2, seconds=0.02)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench generate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a recipe for tests, and a few texts")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/generate.json)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # which ends the contenders
    if reason := lacking():
        sys.exit(f"generate: {reason}")
    output = options.output or FOLDER / ("generate-quick.json" if options.quick else "generate.json")
    measure(QUICK if options.quick else FULL, output)


def lacking() -> str | None:
    """Why nothing can be compared here, None where it can."""
    return None if importlib.util.find_spec("onnxruntime_genai") else "this needs onnxruntime-genai, which ./dev bench installs"


def measure(plan: Plan, output: Path) -> None:
    """Run the whole plan, print its tables, and write them to `output`. Raises ChildFailed."""
    began = time.monotonic()
    tables: dict[str, list[Figures]] = {title: [] for title in figures.TITLES}
    versions: dict[str, dict[str, str]] = {}
    for model in plan.models:
        turns = write_in_turns(model, plan)
        tables["prompt"] += figures.prompt(model, turns)
        tables["text"] += figures.text(model, turns)
        tables["agreement"] += figures.agreement(model, turns)
        versions = {name: answers[-1].versions for name, answers in turns.items()}
    for title, rows in tables.items():
        sys.stdout.write(f"\n{figures.TITLES[title]}\n")
        show(rows)
    output.parent.mkdir(exist_ok=True)
    save(output, **tables, threads=THREADS, versions=versions, rounds=plan.rounds, seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()

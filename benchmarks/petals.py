"""What a swarm on this machine costs beside running the model here: `./dev bench petals`. `--quick` shows only that it works.

Same folder, same prompt, the likeliest token each time. Each contender is a process of its own; they take turns, so that all of them meet
the same machine, and what is printed are medians of the rounds. The peers are processes of their own, too, and serve whoever has the
turn. Then a peer fails in the middle of a text, and what the change to this machine's own model costs is told.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
from pathlib import Path

import structlog

from agents.parts.recipes import RECIPES
from benchmarks import _petals_figures as figures
from benchmarks._petals import Case, Plan, field_of, write_in_turns
from benchmarks._petals_outages import Outage, fail_in_turns
from benchmarks._results import FOLDER, Figures, save, show
from benchmarks._training import THREADS
from benchmarks.generate import WIDE
from bus.environment.place import Place

FULL = Plan(cases=(Case(RECIPES["tiny"], tokens=64, outages=5), Case(WIDE, tokens=64, outages=3)), rounds=5, seconds=1.5)
QUICK = Plan(cases=(Case(RECIPES["micro"], tokens=16, outages=2),), rounds=2, seconds=0.02)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench petals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a recipe for tests, and a few texts")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/petals.json)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # which ends the contenders and the peers
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # what peers print is not for this table
    if reason := lacking():
        sys.exit(f"petals: {reason}")
    output = options.output or FOLDER / ("petals-quick.json" if options.quick else "petals.json")
    measure(QUICK if options.quick else FULL, output)


def lacking() -> str | None:
    """Why nothing can be compared here, None where it can."""
    reason = Place("petals").missing()
    return reason and f"this needs Petals, which has an environment of its own ({reason}): ./dev environment petals makes it"


def measure(plan: Plan, output: Path) -> None:
    """Run the whole plan, print its tables, and write them to `output`. Raises ChildFailed, OSError."""
    began = time.monotonic()
    tables: dict[str, list[Figures]] = {title: [] for title in figures.TITLES}
    versions: dict[str, dict[str, str]] = {}
    outages: dict[str, list[Outage]] = {}
    for case in plan.cases:
        with field_of(case) as field:
            written = write_in_turns(field, plan)
            outages[case.recipe.name] = fail_in_turns(field)
        tables["first"] += figures.first(case, written.turns)
        tables["text"] += figures.text(case, written.turns)
        tables["agreement"] += figures.agreement(case, written.turns)
        tables["memory"] += figures.memory(case, written.memory)
        tables["fallback"] += figures.fallback(case, outages[case.recipe.name])
        versions = {name: answers[-1].versions for name, answers in written.turns.items()}
    for title, rows in tables.items():
        sys.stdout.write(f"\n{figures.TITLES[title]}\n")
        show(rows)
    output.parent.mkdir(exist_ok=True)
    seconds = time.monotonic() - began
    save(output, **tables, outages=outages, threads=THREADS, versions=versions, rounds=plan.rounds, seconds=seconds)


if __name__ == "__main__":
    main()

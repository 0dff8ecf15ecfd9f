"""How fast the bus is, beside its peers: `./dev bench bus`, six minutes. `--quick` shows in half a minute that it works, not how fast.

Each run has processes of its own: servers, a publisher, a subscriber. A round runs every contender once, so that all of them meet
the same machine; what is printed are the medians of the rounds.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _budget, _figures, _ratios
from benchmarks._results import FOLDER, Figures, save, show
from benchmarks._runs import Answered, Streamed, answer, stream
from benchmarks.contenders.child import contenders
from benchmarks.contenders.contender import Contender, Missing

MODULES = ("ours", "raw", "jetstream", "redis_streams")


@dataclass(frozen=True, slots=True)
class Case:
    """A stream of `count` events of `size` bytes. `peers`: also through the other brokers, not only ours and raw pyzmq."""

    size: int
    count: int
    loaded: bool = False
    peers: bool = False

    @property
    def load(self) -> str:
        return "1,000/s beside it" if self.loaded else "alone"


@dataclass(frozen=True, slots=True)
class Plan:
    """`pings`: the round trips of each run, at 1,000 a second. `repeats`: how often the budget measures each stage."""

    rounds: int
    cases: tuple[Case, ...]
    pings: int
    repeats: int


FULL = Plan(  # streams of a second or more, but for the largest events: starting and ending shall not count
    rounds=3,
    cases=(
        Case(size=128, count=200_000),
        Case(size=1024, count=200_000, peers=True),
        Case(size=60 * 1024, count=3_000),
        Case(size=1024, count=150_000, loaded=True),
    ),
    pings=3_000,
    repeats=20,
)
QUICK = Plan(rounds=1, cases=(Case(size=1024, count=1_500, peers=True),), pings=200, repeats=1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench bus", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small counts and one round")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/bus.json)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # which ends the processes of the run
    output = options.output or FOLDER / ("bus-quick.json" if options.quick else "bus.json")
    measure(QUICK if options.quick else FULL, output)


def measure(plan: Plan, output: Path) -> None:
    """Run the whole plan, print its tables, and write them to `output`."""
    began = time.monotonic()
    present, missing = find_contenders()
    streams, answers = run_rounds(plan, present)
    durable = {contender.name for contender in present if contender.is_durable}
    throughput = [row for case in plan.cases for row in _figures.throughput(case.load, case.size, streams[case], durable)]
    cpu = [row for case in plan.cases for row in _figures.cpu(case.load, case.size, streams[case])]
    tables: dict[str, list[Figures]] = {
        "contenders": _figures.contenders(present),
        "throughput": throughput,
        "latency": _figures.latency(answers),
        "cpu": cpu,
        "budget": _budget.stages(plan.repeats, cpu),
    }
    tables["ratios"] = _ratios.ratios(tables["throughput"], tables["latency"], cpu)
    for title, rows in tables.items():
        sys.stdout.write(f"\n{_figures.TITLES[title]}\n")
        show(rows)
    output.parent.mkdir(exist_ok=True)
    save(output, **tables, disk=_figures.disk(), missing=missing, rounds=plan.rounds, seconds=time.monotonic() - began)


def find_contenders() -> tuple[list[Contender], list[str]]:
    """Those that can run here, and why others cannot."""
    present: list[Contender] = []
    missing: list[str] = []
    for module in MODULES:
        try:
            present += contenders(module)
        except Missing as reason:
            missing.append(str(reason))
            sys.stderr.write(f"left out: {reason}\n")
    return present, missing


def run_rounds(plan: Plan, present: list[Contender]) -> tuple[dict[Case, dict[str, list[Streamed]]], dict[str, list[Answered]]]:
    """Every case with every contender, round by round."""
    streams: dict[Case, dict[str, list[Streamed]]] = {case: defaultdict(list) for case in plan.cases}
    answers: dict[str, list[Answered]] = defaultdict(list)
    for number in range(plan.rounds):
        sys.stderr.write(f"round {number + 1} of {plan.rounds}\n")
        for case, contender in _streamed(plan, present):
            streams[case][contender.name].append(stream(contender, case.size, case.count, loaded=case.loaded))
        for contender in _answering(present):
            answers[contender.name].append(answer(contender, 1024, plan.pings))
    return streams, answers


def _streamed(plan: Plan, present: list[Contender]) -> Iterator[tuple[Case, Contender]]:
    for case in plan.cases:
        for contender in present:
            if case.peers or contender.module in ("ours", "raw"):
                yield case, contender


def _answering(present: list[Contender]) -> list[Contender]:
    """At 1,000 events a second a credit changes nothing."""
    return [contender for contender in present if contender.name != "raw pyzmq, credit"]


if __name__ == "__main__":
    main()

"""Prints for each rule in how many of so many schedules a promise is broken without it."""

from __future__ import annotations

import sys

from simulation.mutants import MUTANTS
from simulation.schedules import breaks


def main(schedules: int) -> None:
    sys.stdout.write(f"{'nothing left out':<50}{sum(map(breaks, range(schedules))):>6} of {schedules}\n")
    for mutant in MUTANTS:
        broken = sum(breaks(seed, mutant) for seed in range(schedules))
        sys.stdout.write(f"{mutant.__name__.replace('_', ' '):<50}{broken / schedules:>9.1%}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))

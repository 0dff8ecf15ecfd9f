"""Seeded schedules: what happens, at random, to a world. The same seed is the same schedule."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from simulation.disk import Survives
from simulation.network import Fate
from simulation.promise import BrokenPromise
from simulation.world import TOPICS, Mutant, World, world

PHASES = 12
QUIET = 3
"""The last phases, in which nobody publishes any more and failures go on."""
STEPS = 25
FATES = {Fate.ARRIVES: 75, Fate.LOST: 15, Fate.DOUBLED: 5, Fate.LATE: 5}
KILLED_AT = ("write", "sync", "acknowledge")
SURVIVES = (Survives.NOTHING, *Survives)
PAUSES = (0.0002, 0.01, 0.3, 1.1, 2.5)

Step = Callable[[World, Random], None]


def _fail_twice(world: World, random: Random) -> None:
    """What fails once fails again: a crash while a group is written, a new start, and soon the power goes too."""
    world.publish(random.randrange(8), 0)
    world.carry_all()
    world.kill_recorder(random.choice(KILLED_AT), False)
    world.start_recorder()
    for _ in range(random.randrange(4)):
        world.go_on(random.choice(PAUSES))
    world.lose_power(None, random.choice(SURVIVES), random.random())


def _cut_a_burst(world: World, random: Random) -> None:
    """The power goes while a commit of several groups is on its way to the medium."""
    for _ in range(6):
        world.publish(random.randrange(8), random.randrange(len(TOPICS)))
    world.carry_all()
    world.lose_power("sync", random.choice(SURVIVES), random.random())


PUBLISHING: dict[Step, int] = {
    lambda w, r: w.publish(r.randrange(8), r.randrange(len(TOPICS))): 200,
    lambda w, r: w.publish_as_recorder(): 5,
    lambda w, r: w.publish_too_large(r.randrange(8)): 5,
    lambda w, r: w.publish_in_a_fork(r.randrange(8)): 8,
}
WORKING: dict[Step, int] = {
    lambda w, r: w.carry(r.randrange(8), _fates(r)): 450,
    lambda w, r: w.listen(r.randrange(8)): 150,
    lambda w, r: w.work(): 120,
    lambda w, r: w.pass_time(r.choice(PAUSES)): 60,
    lambda w, r: w.meet(r.randrange(16)): 120,
    lambda w, r: w.start_recorder(): 60,
    lambda w, r: w.start_hub(): 30,
    lambda w, r: w.mend_disk(): 20,
}
FAILING: dict[Step, int] = {
    lambda w, r: w.kill_recorder(_point(r), r.random() < 0.5): 16,
    lambda w, r: w.lose_power(_point(r), r.choice(SURVIVES), r.random()): 12,
    _fail_twice: 8,
    _cut_a_burst: 8,
    lambda w, r: w.stop_recorder(): 4,
    lambda w, r: w.take_the_log_away(): 4,
    lambda w, r: w.fail_disk(r.choice((1, 1000))): 8,
    lambda w, r: w.kill_publisher(r.randrange(8), r.random() < 0.5): 8,
    lambda w, r: w.stop_publisher(r.randrange(8)): 4,
    lambda w, r: w.connect_again(r.randrange(8)): 8,
    lambda w, r: w.kill_hub(): 4,
    lambda w, r: w.jump(r.choice((-3600, -5, 7200))): 4,
}


def run(seed: int, mutant: Mutant | None = None) -> None:
    """Phases in which more or less is published and fails, then quiet. Raises BrokenPromise."""
    random = Random(seed)
    folder = Path(tempfile.mkdtemp())
    try:
        with world(folder, mutant) as made:
            for phase in range(PHASES):
                for step in _phase(random, PHASES - phase <= QUIET):
                    step(made, random)
            made.settle()
    finally:
        shutil.rmtree(folder)


def _phase(random: Random, is_quiet: bool) -> list[Step]:
    published, failing = 0 if is_quiet else random.choice((0, 1, 2)), random.choice((0, 1, 2))
    steps = [(step, weight * published) for step, weight in PUBLISHING.items()]
    steps += [*WORKING.items(), *((step, weight * failing) for step, weight in FAILING.items())]
    return random.choices([step for step, _ in steps], [weight for _, weight in steps], k=STEPS)


def breaks(seed: int, mutant: Mutant | None = None) -> bool:
    """Whether this schedule shows a broken promise."""
    try:
        run(seed, mutant)
    except BrokenPromise:
        return True
    return False


def _fates(random: Random) -> Iterator[Fate]:
    return (random.choices(list(FATES), list(FATES.values()))[0] for _ in itertools.count())


def _point(random: Random) -> str | None:
    return random.choice(KILLED_AT) if random.random() < 0.5 else None

"""Delivery under attack: the real publisher, recorder and log, between a network, a disk and clocks that are simulated.

Frames are lost, doubled, delayed and mixed, publishers, hub and recorder are killed at any instant, the recorder's machine loses power,
its disk refuses, its log is taken away, clocks jump, processes fork. Whatever happens: what was acknowledged is in the log; the log has
each event once and a stream's events in their order, with no hole that a `recorder.gap` does not explain; a gap names only what its
publisher no longer holds; and once nothing fails any more, everything that living publishers hold is acknowledged.

Each rule that makes this so is left out in turn (`simulation.mutants`), and must be missed.
`python -m simulation 1000`, in tests/unit, prints in how many schedules it is.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from simulation import schedules
from simulation.disk import Survives
from simulation.mutants import MUTANTS
from simulation.network import Fate
from simulation.world import TOPICS, Mutant, world

SCHEDULES = 300
"""Each of them keeps every promise; for each mutant one of them shows a broken one."""
ONCE_BROKEN = (437,)
"""Schedules in which a promise was broken before: by a gap that was recorded behind the events that it explains."""

WHO = st.integers(0, 7)
POINTS = st.sampled_from((None, "write", "sync", "acknowledge"))


def test_every_promise_is_kept_whatever_fails() -> None:
    for seed in (*ONCE_BROKEN, *range(SCHEDULES)):
        schedules.run(seed)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_without_any_one_rule_a_promise_is_broken(mutant: Mutant) -> None:
    assert any(schedules.breaks(seed, mutant) for seed in range(SCHEDULES))


def test_what_an_earlier_recorder_said_of_itself_and_arrives_late_is_not_recorded_twice(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.publish_as_recorder()
        made.work()
        assert made.recorder is not None
        made.recorder.die(everything_sent_is_lost=False)
        made.recorder = None
        made.start_recorder()
        made.carry_all()
        made.work()
        made.check()


class Delivery(RuleBasedStateMachine):
    """The same world, driven by hypothesis, which shortens what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.entered = world(self.folder)
        self.world = self.entered.__enter__()

    @rule(who=WHO, topic=st.integers(0, len(TOPICS) - 1))
    def publish(self, who: int, topic: int) -> None:
        self.world.publish(who, topic)

    @rule(who=WHO)
    def publish_too_large(self, who: int) -> None:
        self.world.publish_too_large(who)

    @rule()
    def publish_as_recorder(self) -> None:
        self.world.publish_as_recorder()

    @rule(sender=WHO, fates=st.lists(st.sampled_from(Fate), max_size=3))
    def carry(self, sender: int, fates: list[Fate]) -> None:
        self.world.carry(sender, iter(fates))

    @rule(seconds=st.sampled_from(schedules.PAUSES))
    def go_on(self, seconds: float) -> None:
        self.world.go_on(seconds)

    @rule(who=WHO)
    def listen(self, who: int) -> None:
        self.world.listen(who)

    @rule()
    def work(self) -> None:
        self.world.work()

    @rule(seconds=st.sampled_from(schedules.PAUSES))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(seconds=st.integers(-7200, 7200))
    def jump(self, seconds: int) -> None:
        self.world.jump(seconds)

    @rule(at=POINTS, lost=st.booleans())
    def kill_and_start_recorder(self, at: str | None, lost: bool) -> None:
        self.world.kill_recorder(at, lost)
        self.world.start_recorder()

    @rule(at=POINTS, survives=st.sampled_from(Survives), part=st.floats(0, 1))
    def lose_power_and_start_recorder(self, at: str | None, survives: Survives, part: float) -> None:
        self.world.lose_power(at, survives, part)
        self.world.start_recorder()

    @rule()
    def stop_recorder(self) -> None:
        self.world.stop_recorder()

    @rule()
    def take_the_log_away(self) -> None:
        self.world.stop_recorder()
        self.world.take_the_log_away()

    @rule()
    def start_recorder(self) -> None:
        self.world.start_recorder()

    @rule(syncs=st.sampled_from((1, 1000)))
    def fail_disk(self, syncs: int) -> None:
        self.world.fail_disk(syncs)

    @rule()
    def mend_disk(self) -> None:
        self.world.mend_disk()

    @rule(who=WHO, lost=st.booleans())
    def kill_publisher(self, who: int, lost: bool) -> None:
        self.world.kill_publisher(who, lost)

    @rule(who=WHO)
    def stop_publisher(self, who: int) -> None:
        self.world.stop_publisher(who)

    @rule(who=WHO)
    def fork(self, who: int) -> None:
        self.world.publish_in_a_fork(who)
        self.world.connect_again(who)

    @rule(first=st.integers(0, 15))
    def restart_hub(self, first: int) -> None:
        self.world.kill_hub()
        self.world.start_hub()
        self.world.meet(first)

    @rule(who=st.integers(0, 15))
    def meet(self, who: int) -> None:
        self.world.meet(who)

    def teardown(self) -> None:
        try:
            self.world.settle()
        finally:
            self.entered.__exit__(None, None, None)
            shutil.rmtree(self.folder)


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)

"""Physics goes with the time, or by the steps that are ordered."""

from __future__ import annotations

import time
from concurrent.futures import Future

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.engine.clock import Clock, Moment
from agents.engine.settings import EngineSettings
from agents.engine.world import World

FOREVER = float("inf")


class Steps:
    """Counts steps, and has the world's time go on by them."""

    def __init__(self, hz: float = 60.0) -> None:
        self.world = World()
        self.clock = Clock(self.world, hz)
        self.count = 0

    def take(self) -> None:
        self.count += 1
        self.world.time += 1 / 60

    def frames(self, count: int, until: float = FOREVER) -> None:
        for _ in range(count):
            self.clock.advance(self.take, until)

    def order(self, count: int) -> Future[Moment]:
        done: Future[Moment] = Future()
        self.clock.order(count, done)
        return done


@given(st.floats(1, 240), st.integers(1, 500))
def test_a_second_has_sixty_steps_however_many_frames_it_has(hz: float, frames: int) -> None:
    steps = Steps(hz)
    steps.frames(frames)
    assert steps.count == pytest.approx(frames * 60 / hz, abs=1)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_ordered_steps_are_taken_one_for_one_and_then_time_stands(orders: list[int]) -> None:
    steps = Steps()
    done = [steps.order(count) for count in orders]
    steps.frames(3)
    assert steps.count == sum(orders)
    assert [each.result(0)[1] for each in done] == pytest.approx([sum(orders[: n + 1]) / 60 for n in range(len(orders))])
    assert steps.clock.paused


def test_many_ordered_steps_are_spread_over_frames() -> None:
    steps = Steps()
    done = steps.order(5)
    steps.frames(4, until=time.monotonic())
    assert steps.count == 4
    assert not done.done()
    steps.frames(1)
    assert done.done()


def test_resuming_ends_what_was_ordered_where_it_is() -> None:
    steps = Steps()
    done = steps.order(100)
    steps.frames(2, until=0.0)
    assert steps.clock.resume()[1] == done.result(0)[1] == pytest.approx(2 / 60)
    steps.frames(1)
    assert steps.count == 3


def test_steps_that_will_never_be_taken_fail() -> None:
    steps = Steps()
    done = steps.order(1)
    steps.clock.abandon(RuntimeError("the engine has stopped"))
    with pytest.raises(RuntimeError, match="has stopped"):
        done.result(0)


def test_an_engine_has_a_frame_a_second_at_least_or_one_frame_would_owe_steps_without_end() -> None:
    with pytest.raises(msgspec.ValidationError, match="hz"):
        msgspec.convert({"hz": 0.5}, EngineSettings)

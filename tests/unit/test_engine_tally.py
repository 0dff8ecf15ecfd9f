"""What is said of a second of frames."""

from __future__ import annotations

import pytest

from agents.engine.tally import Tally
from agents.engine.world import Looks, Transform, World
from schemas.engine import Frame


def test_a_window_is_counted_from_its_own_beginning() -> None:
    world = World()
    actor = world.spawn("Actor", Transform(), Looks())
    tally = Tally(world, 10.0)
    first = filled(tally, world, frames=50, now=11.0)
    world.move(actor, Transform())
    second = filled(tally, world, frames=20, now=13.0)

    assert (first.rate, second.rate) == (50.0, 10.0)
    assert (first.moves, second.moves) == (0, 1)
    assert second.count == 70
    assert second.frame_time == pytest.approx(0.01)
    assert second.draw_time == pytest.approx(0.004)


def filled(tally: Tally, world: World, frames: int, now: float) -> Frame:
    for _ in range(frames):
        world.frame += 1
        tally.add(0.01, 0.004)
    assert tally.is_due(now)
    return tally.close(now, draw_calls=1, bodies=2, awake=1)

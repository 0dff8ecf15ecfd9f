"""A trajectory that plays is where its file says, at each moment by this machine's clock."""

from __future__ import annotations

import asyncio
import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.xr.observation import Observation
from agents.xr.sources import player
from agents.xr.sources.player import Player, due
from agents.xr.sources.trajectory import GAP, Trajectory

PATIENCE = 10.0
MILLISECOND = 1_000_000


def walk(*milliseconds: int) -> Trajectory:
    """Along X, a metre a second."""
    times = np.array(milliseconds, np.int64) * MILLISECOND
    positions = np.stack([times / 1e9, 0 * times, 0 * times], axis=1)
    return Trajectory(
        name="walk",
        kind="recorded",
        axes="bus",
        times=times,
        positions=positions,
        orientations=np.tile([0.0, 0.0, 0.0, 1.0], (len(times), 1)),
    )


def x_of(playing: Player, host_ns: int) -> float | None:
    place = playing.truth(host_ns)
    return None if place is None else place.position[0]


def played(playing: Player, *, slow_at: int | None = None) -> list[Observation]:
    """All that it says until its end; whoever listens is busy for a while at the `slow_at`th pose."""
    said: list[Observation] = []

    def take(seen: Observation) -> None:
        said.append(seen)
        if len(said) == slow_at:
            time.sleep(0.1)

    async def play() -> None:
        ended = asyncio.Event()
        async with asyncio.timeout(PATIENCE):
            await playing.play(take, ended.set)
        assert ended.is_set()

    asyncio.run(play())
    return said


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(player.time, "time_ns", lambda: 1000 * MILLISECOND)
    return 1000 * MILLISECOND


def test_each_pose_is_where_the_trajectory_is_at_its_time() -> None:
    playing = Player(walk(0, 100, 250), "head", rate=100)

    said = played(playing)

    assert [seen.position[0] for seen in said] == [x_of(playing, seen.sampled) for seen in said]
    assert all(later.sequence > seen.sequence and later.sampled > seen.sampled for seen, later in itertools.pairwise(said))
    assert {(seen.device, seen.source.name, seen.source.origin, seen.source.kind) for seen in said} == {
        ("head", "walk", "trajectory", "recorded")
    }


def test_what_is_late_is_left_out() -> None:
    said = played(Player(walk(0, 400), "head", rate=100), slow_at=2)

    steps = [later.sequence - seen.sequence for seen, later in itertools.pairwise(said)]
    assert steps[1] >= 10
    assert min(steps) >= 1


@given(st.integers(0, 10**6), st.floats(0, 1e4), st.sampled_from([1.0, 30.0, 90.0, 200.0]))
def test_the_next_pose_is_never_one_that_is_due_already(number: int, elapsed: float, rate: float) -> None:
    following = due(number, elapsed, rate)

    assert following > number
    assert following / rate >= elapsed or following == number + 1
    assert following == number + 1 or (following - 1) / rate <= elapsed + 1e-9


def test_nothing_plays_before_it_begins_and_after_it_ends(began: int) -> None:
    playing = Player(walk(0, 100), "head", rate=90)

    assert [x_of(playing, began + after * MILLISECOND) for after in (-1, 0, 50, 100, 101)] == [None, 0, 0.05, 0.1, None]


def test_it_plays_as_fast_as_it_is_asked_to(began: int) -> None:
    playing = Player(walk(0, 100), "head", rate=90, speed=2.0)

    assert [x_of(playing, began + after * MILLISECOND) for after in (25, 50, 51)] == [0.05, 0.1, None]


def test_in_a_loop_it_begins_again(began: int) -> None:
    playing = Player(walk(0, 100), "head", rate=90, loop=True)

    assert [x_of(playing, began + after * MILLISECOND) for after in (-1, 99, 100, 130, 100_050)] == [None, 0.099, 0, 0.03, 0.05]


def test_in_a_gap_it_says_nothing() -> None:
    gap = GAP // MILLISECOND
    playing = Player(walk(0, 20, 40 + gap, 60 + gap), "head", rate=100)

    said = [seen.position[0] for seen in played(playing)]

    assert said
    assert all(x <= 0.02 or x >= 0.04 + gap / 1000 for x in said)


def test_who_cancels_it_hears_of_no_end() -> None:
    async def cancelled() -> bool:
        ended = asyncio.Event()
        task = asyncio.ensure_future(Player(walk(0, 60_000), "head", rate=100).play(lambda _: None, ended.set))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE)
        return task.cancelled() and not ended.is_set()

    assert asyncio.run(cancelled())

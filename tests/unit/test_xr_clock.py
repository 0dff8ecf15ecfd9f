"""A page's clock against the host's: whatever the network does, a time is within what is said of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.xr.timing.clock import JUMP, SLOT, WINDOW, Clock

SECOND, MS = 1_000_000_000, 1_000_000
LOADED = 1_790_000_000 * SECOND
"""When the page's clock was at zero, by the host's."""

delays = st.floats(0.0, 0.3)
pauses = st.floats(0.05, 3.0)
drifts = st.floats(-200e-6, 200e-6)


@dataclass
class World:
    """Two clocks, of which the host's gains `drift` seconds a second on the page's, and a network between them. `page` is in seconds."""

    drift: float = 0.0
    page: float = 100.0
    loaded: int = LOADED

    @property
    def host(self) -> int:
        return self.loaded + round(self.page * (1 + self.drift) * SECOND)

    @property
    def shown(self) -> float:
        """What performance.now() says: milliseconds, rounded down to tenths."""
        return math.floor(self.page * 10_000) / 10

    def trip(self, clock: Clock, up: float, down: float) -> bool:
        asked = self.shown
        self.page += up
        received = self.host
        self.page += 0.0002
        sent = self.host
        self.page += down
        return clock.trip(asked, received, sent, self.shown)

    def error(self, clock: Clock) -> float:
        """Seconds by which the clock is wrong now."""
        told = clock.to_host(self.shown)
        assert told is not None
        return abs(told - self.host) / SECOND


def synchronised(world: World, rounds: int = 5) -> Clock:
    clock = Clock()
    for _ in range(rounds):
        world.trip(clock, 0.001, 0.001)
        world.page += 1
    return clock


@given(drifts, st.lists(st.tuples(pauses, delays, delays), min_size=1, max_size=40), st.floats(0, 30))
def test_a_time_is_within_the_stated_uncertainty(drift: float, trips: list[tuple[float, float, float]], later: float) -> None:
    world, clock = World(drift), Clock()
    for pause, up, down in trips:
        world.page += pause
        world.trip(clock, up, down)
        assert world.error(clock) <= clock.uncertainty(world.shown)
    world.page += later
    assert world.error(clock) <= clock.uncertainty(world.shown)


@given(drifts)
def test_two_minutes_of_quick_trips_say_the_drift_and_the_time_to_a_millisecond(drift: float) -> None:
    world, clock = World(drift), Clock()
    for number in range(120):
        world.page += 1
        world.trip(clock, 0.0005 + 0.004 * (number % 3), 0.0005)
    described = clock.described()
    assert described is not None
    assert described.drift == pytest.approx(drift, abs=5e-6)
    assert described.uncertainty < 0.001
    assert described.offset == pytest.approx((world.host - world.page * SECOND) / SECOND, abs=0.001)


def test_one_quick_trip_counts_more_than_many_slow_ones() -> None:
    world, clock = World(), Clock()
    for _ in range(10):
        world.page += 1
        world.trip(clock, 0.2, 0.0)
    slow = clock.uncertainty(world.shown)
    world.trip(clock, 0.001, 0.001)
    assert slow > 0.1
    assert clock.uncertainty(world.shown) < 0.002


def test_before_the_first_round_trip_there_is_no_time() -> None:
    clock = Clock()
    assert (clock.to_host(1.0), clock.uncertainty(1.0), clock.described()) == (None, None, None)


def test_a_device_that_slept_with_its_clock_is_noticed_by_the_next_trip() -> None:
    world = World()
    clock = synchronised(world)
    world.loaded += 3600 * SECOND
    world.trip(clock, 0.001, 0.001)
    assert world.error(clock) <= clock.uncertainty(world.shown) < 0.01
    assert clock.described().rounds == 1


def test_a_host_whose_clock_was_set_back_is_noticed_by_the_next_trip() -> None:
    world = World()
    clock = synchronised(world)
    world.loaded -= 2 * SECOND
    world.trip(clock, 0.001, 0.001)
    assert world.error(clock) <= clock.uncertainty(world.shown) < 0.01


@pytest.mark.parametrize("jump", [-2 * JUMP, 60.0])
def test_a_message_from_an_impossible_time_ends_the_trust_in_the_clock(jump: float) -> None:
    world = World()
    clock = synchronised(world)
    clock.heard(world.shown, world.host + round(jump * SECOND))
    assert clock.to_host(world.shown) is None


@pytest.mark.parametrize("late", [-0.001, 0.0, 2.0])
def test_a_message_that_was_slow_changes_nothing(late: float) -> None:
    world = World()
    clock = synchronised(world)
    before = clock.described()
    clock.heard(world.shown, world.host + round(late * SECOND))
    assert clock.described() == before


@pytest.mark.parametrize(
    "trip",
    [
        (1000.0, LOADED, LOADED + 9 * MS, 1005.0),  # answered before it was sent
        (1000.0, LOADED + MS, LOADED, 1005.0),
        (1000.0, LOADED, LOADED, 12_000.0),
        (1000.0, LOADED, LOADED, math.nan),
        (math.inf, LOADED, LOADED, math.inf),
        (-5.0, LOADED, LOADED, 1.0),
        (1e300, LOADED, LOADED, 1e300),
    ],
)
def test_a_trip_that_cannot_be_says_nothing(trip: tuple[float, int, int, float]) -> None:
    clock = Clock()
    assert not clock.trip(*trip)
    assert clock.described() is None


def test_trips_that_go_back_and_forth_in_time_are_not_kept() -> None:
    clock = Clock()
    ends = [1000.0 * (1 + number % 2) for number in range(500)]
    counted = [clock.trip(end, LOADED + round(end * MS), LOADED + round(end * MS), end) for end in ends]
    assert counted == [True, True] + [False] * 498
    assert clock.described().rounds == 2


@given(st.lists(st.floats(0, 1e9), max_size=300))
def test_whatever_a_page_says_the_trips_that_are_kept_are_few_and_in_order(times: list[float]) -> None:
    clock = Clock()
    for time in times:
        clock.trip(time, LOADED + round(time * MS), LOADED + round(time * MS), time)
    pages = [trip.page for trip in clock._trips]
    assert pages == sorted(set(pages))
    assert len(pages) <= WINDOW // SLOT + 1


def test_a_trip_of_long_ago_does_not_count() -> None:
    world, clock = World(), Clock()
    world.trip(clock, 0.0, 0.0)
    world.page += WINDOW / SECOND + 1
    world.trip(clock, 0.1, 0.1)
    assert clock.described().delay == pytest.approx(0.2, abs=1e-3)

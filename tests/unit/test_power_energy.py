"""Joules out of counters and watts: wraps, resets, gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.power.energy import HOLD_SECONDS, Counter, Integral, counts_between

RANGE = 262_143_328_850


@given(
    wraps_at=st.integers(1, 2**40),
    start=st.integers(0, 2**40),
    steps=st.lists(st.floats(0, 1, exclude_max=True), max_size=40),
)
def test_any_sequence_of_increments_with_wraps_adds_up_to_their_sum(wraps_at: int, start: int, steps: list[float]) -> None:
    increments = [int(share * wraps_at) for share in steps]
    counter, true = Counter(1, wraps_at), start
    counter.advance(true % wraps_at, 0)
    for second, increment in enumerate(increments, start=1):
        true += increment
        counter.advance(true % wraps_at, second * HOLD_SECONDS)
    assert counter.joules == sum(increments)


def test_watts_are_joules_over_the_interval() -> None:
    counter = Counter(1e-6, RANGE)
    counter.advance(1_000_000, 10.0)
    assert (counter.watts, counter.joules) == (None, 0)
    counter.advance(2_500_000, 10.5)
    assert (counter.watts, counter.joules) == (pytest.approx(3.0), pytest.approx(1.5))


def test_a_fall_without_a_known_range_is_a_reset_and_has_no_watts() -> None:
    assert counts_between(500, 20, 0) is None
    counter = Counter(1)
    for second, count in enumerate((0, 500, 20, 30)):
        counter.advance(count, second)
        if count == 20:
            assert counter.watts is None
    assert counter.joules == 510


def test_a_fall_by_more_than_the_range_is_no_wrap() -> None:
    assert counts_between(1000, 10, 100) is None


def test_a_counter_that_is_refreshed_slower_than_it_is_read_keeps_its_watts() -> None:
    counter = Counter(1)
    for now, count in ((0.0, 0), (0.1, 10), (0.2, 10), (0.3, 30)):
        counter.advance(count, now)
        assert now == 0 or counter.watts == pytest.approx(100)


def test_a_counter_that_stands_still_for_a_second_reads_zero_watts() -> None:
    counter = Counter(1)
    counter.advance(5, 0.0)
    counter.advance(5, HOLD_SECONDS)
    assert counter.watts == 0


def test_what_passed_during_a_gap_is_not_made_up() -> None:
    counter = Counter(1)
    counter.advance(0, 0.0)
    counter.lose()
    assert counter.watts is None
    counter.advance(1000, 5.0)
    counter.advance(1010, 6.0)
    assert counter.joules == 10


def test_watts_are_integrated_as_straight_lines_between_readings() -> None:
    integral = Integral()
    for now, watts in ((0.0, 10.0), (1.0, 20.0), (3.0, 20.0)):
        integral.advance(watts, now)
    assert (integral.joules, integral.watts) == (pytest.approx(15 + 40), 20)


def test_an_integral_does_not_bridge_a_gap() -> None:
    integral = Integral()
    integral.advance(10.0, 0.0)
    integral.lose()
    integral.advance(10.0, 100.0)
    assert integral.joules == 0

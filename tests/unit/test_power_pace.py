"""The rhythm of samples."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.power.pace import Pace, next_due


@given(st.integers(1, 10_000), st.integers(1, 1000), st.integers(0, 10_000_000))
def test_the_next_beat_lies_ahead_by_a_period_at_most_and_on_the_grid(due: int, period: int, late: int) -> None:
    now = due + late
    after = next_due(due, period, now)
    assert now < after <= now + period
    assert (after - due) % period == 0


def test_beats_that_were_missed_are_left_out() -> None:
    assert next_due(10.0, 1.0, 14.5) == 15.0


def test_a_beat_that_comes_early_waits_for_its_time() -> None:
    assert next_due(10.0, 1.0, 9.9) == 11.0


@given(st.floats(0.1, 100), st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_late_wakes_do_not_add_up_to_a_drift(hz: float, delays: list[float]) -> None:
    due = start = 1000.0
    for delay in delays:
        due = next_due(due, 1 / hz, due + delay / hz)
    assert due - start == pytest.approx(len(delays) / hz)


def test_a_faster_rate_does_not_wait_for_the_slow_beat() -> None:
    pace = Pace(1 / 3600)
    beaten = threading.Event()
    thread = threading.Thread(target=lambda: (next(pace.beats()), beaten.set()), daemon=True)
    thread.start()
    pace.change(100)
    assert beaten.wait(30)


def test_ending_ends_a_wait() -> None:
    pace = Pace(1 / 3600)
    thread = threading.Thread(target=lambda: list(pace.beats()), daemon=True)
    thread.start()
    pace.end()
    thread.join(30)
    assert not thread.is_alive()

"""The bridge's figures: a second's requests, and a frame rate from two readings."""

from __future__ import annotations

import pytest

from agents.ue5.measures import latency
from agents.ue5.measures.frame_rate import FrameRate
from agents.ue5.measures.latency import Window


def test_a_second_without_requests_has_no_times_and_is_no_zero() -> None:
    figures = Window().close("engine", "http", 0.016)
    assert (figures.requests, figures.round_trip_p50, figures.beyond_frame_p99, figures.event_p50) == (0, None, None, None)


def test_what_the_bridge_costs_is_the_round_trip_without_one_frame() -> None:
    window = Window()
    for trip in (0.017, 0.018, 0.010):
        window.answered(trip, moves=2)
    figures = window.close("engine", "websocket", 0.016)
    assert (figures.requests, figures.moves, figures.round_trip_p50) == (3, 6, 0.017)
    assert (figures.beyond_frame_p50, figures.beyond_frame_p99) == (pytest.approx(0.001), pytest.approx(0.002))


def test_where_no_frame_is_known_nothing_is_taken_off() -> None:
    window = Window()
    window.answered(0.02)
    assert window.close("engine", "http", None).beyond_frame_p50 is None


def test_each_second_begins_anew() -> None:
    window = Window()
    window.answered(0.5, moves=3, failed=1)
    window.missed()
    assert window.close("engine", "http", None).failed == 2
    assert window.close("engine", "http", None) == Window().close("engine", "http", None)


def test_what_is_kept_of_a_second_is_bounded_and_the_rest_still_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "MOST_TIMES", 2)
    window = Window()
    for trip in (0.1, 0.2, 9.0):
        window.answered(trip)
        window.events([trip])
    figures = window.close("engine", "http", None)
    assert (figures.requests, figures.round_trip_p99, figures.event_p99) == (3, 0.2, 0.2)


def test_a_frame_rate_needs_two_readings() -> None:
    rate = FrameRate("engine")
    assert rate.read(100, 1.0) is None
    frame = rate.read(160, 3.0)
    assert frame is not None
    assert (frame.rate, frame.frame_time, frame.count) == (30.0, pytest.approx(1 / 30), 160)


def test_an_engine_that_counts_anew_has_no_rate_and_then_has_one_again() -> None:
    rate = FrameRate("engine")
    counts = [rate.read(count, float(at)) for at, count in enumerate([100, 5, 65])]
    assert [frame and frame.rate for frame in counts] == [None, None, 60.0]


def test_an_engine_that_stands_still_has_a_rate_of_zero() -> None:
    rate = FrameRate("engine")
    rate.read(7, 0.0)
    frame = rate.read(7, 2.0)
    assert frame is not None
    assert (frame.rate, frame.frame_time) == (0.0, 2.0)

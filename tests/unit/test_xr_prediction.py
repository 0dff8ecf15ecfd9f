"""Where a device will be in a moment: exact for what moves evenly, and quiet for what rests."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turns import matrix, quaternions, vectors

from agents.parts.frames import Vector
from agents.parts.rigid import Rigid, angle_between, product, scaled, turned_by
from agents.xr.observation import Observation, Source
from agents.xr.timing.stages import LONGEST_HORIZON
from agents.xr.tracking.motion import LONGEST_GAP, Motion, MotionFilter
from agents.xr.tracking.one_euro import Cutoffs, OneEuro, smoothing
from agents.xr.tracking.prediction import predicted

SECOND = 1_000_000_000
SOURCE = Source(name="test", origin="trajectory", kind="recorded")
FRAME = SECOND // 90

speeds = st.tuples(*[st.floats(-3, 3)] * 3)
steps = st.lists(st.integers(SECOND // 200, LONGEST_GAP), min_size=1, max_size=10)


def seen(place: Rigid, sampled: int, linear: Vector | None = None, angular: Vector | None = None) -> Observation:
    return Observation(
        source=SOURCE,
        device="head",
        sequence=sampled,
        sampled=sampled,
        received=sampled,
        position=place.position,
        orientation=place.orientation,
        linear_velocity=linear,
        angular_velocity=angular,
    )


def moving(start: Rigid, linear: Vector, angular: Vector, seconds: float) -> Rigid:
    """Where it is after so long, by a hundred small steps."""
    position, orientation = np.array(start.position) + np.array(linear) * seconds, start.orientation
    for _ in range(100):
        orientation = product(turned_by(scaled(angular, seconds / 100)), orientation)
    return Rigid(tuple(position), orientation)


@given(st.builds(Rigid, vectors, quaternions), speeds, speeds, steps, st.floats(0, LONGEST_HORIZON))
def test_what_moves_evenly_is_predicted_exactly_at_irregular_times(
    start: Rigid, linear: Vector, angular: Vector, steps: list[int], ahead: float
) -> None:
    motions, at = MotionFilter(), SECOND
    motions.observe(seen(start, at))
    for step in steps:
        at += step
        place = moving(start, linear, angular, (at - SECOND) / SECOND)
        motion = motions.observe(seen(place, at))
    guessed, truth = predicted(place, motion, ahead), moving(start, linear, angular, (at - SECOND) / SECOND + ahead)
    assert guessed.position == pytest.approx(truth.position, abs=1e-6)
    assert angle_between(guessed.orientation, truth.orientation) < 1e-6


def test_a_turn_is_in_the_frame_of_the_bus_not_of_the_device() -> None:
    lying = Rigid(orientation=turned_by((math.pi / 2, 0.0, 0.0)))
    turned = predicted(lying, Motion(angular=(0.0, 10.0, 0.0)), 0.1)
    np.testing.assert_allclose(matrix(turned.orientation), matrix(turned_by((0.0, 1.0, 0.0))) @ matrix(lying.orientation), atol=1e-12)


def test_nothing_is_predicted_further_ahead_than_a_head_is_predictable() -> None:
    motion = Motion((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    assert predicted(Rigid(), motion, 5.0) == predicted(Rigid(), motion, LONGEST_HORIZON)


def test_what_is_not_known_to_move_stays() -> None:
    assert predicted(Rigid((1.0, 2.0, 3.0)), Motion(), 0.1) == Rigid((1.0, 2.0, 3.0))


def test_a_source_knows_its_own_velocities_best() -> None:
    motions = MotionFilter()
    motions.observe(seen(Rigid(), SECOND))
    motion = motions.observe(seen(Rigid((0.01, 0.0, 0.0)), SECOND + FRAME, linear=(7.0, 0.0, 0.0)))
    assert motion.linear == (7.0, 0.0, 0.0)
    assert motion.angular == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("elapsed", "x"), [(LONGEST_GAP + 1, 0.1), (FRAME, 5.0)])
def test_after_a_gap_or_a_leap_it_is_not_known_how_it_moves(elapsed: int, x: float) -> None:
    motions = MotionFilter()
    motions.observe(seen(Rigid(), SECOND))
    motions.observe(seen(Rigid((0.01, 0.0, 0.0)), SECOND + FRAME))
    leapt = motions.observe(seen(Rigid((x, 0.0, 0.0)), SECOND + FRAME + elapsed))
    after = motions.observe(seen(Rigid((x + 0.01, 0.0, 0.0)), SECOND + 2 * FRAME + elapsed))
    assert leapt == Motion()
    assert after.linear == pytest.approx((0.9, 0.0, 0.0), rel=1e-6)


def test_noise_around_a_place_is_less_in_the_filtered_velocity() -> None:
    draw, motions = random.Random(5), MotionFilter()
    places = [draw.gauss(0, 0.0005) for _ in range(300)]
    filtered = [motions.observe(seen(Rigid((x, 0.0, 0.0)), SECOND + number * FRAME)).linear for number, x in enumerate(places)]
    raw = [(later - x) * 90 for x, later in pairwise(places)]
    assert np.std([linear[0] for linear in filtered[1:] if linear]) < 0.6 * np.std(raw)


def test_the_filter_is_that_of_its_paper() -> None:
    """Its formulas, for one axis: alpha = 1 / (1 + tau / Te) with tau = 1 / (2 pi fc), and fc = least + slope |dx|."""
    cutoffs, wanted, change = Cutoffs(least=1.5, slope=0.3, change=2.0), 0.0, 0.0
    ours = OneEuro(cutoffs)
    ours.filter((0.0, 0.0, 0.0), 0.01)
    for value, seconds in ((1.0, 0.01), (3.0, 0.02), (2.5, 0.005)):
        share = 1 / (1 + 1 / (2 * math.pi * cutoffs.change) / seconds)
        change += share * ((value - wanted) / seconds - change)
        tau = 1 / (2 * math.pi * (cutoffs.least + cutoffs.slope * abs(change)))
        wanted += (value - wanted) / (1 + tau / seconds)
        assert ours.filter((0.0, value, 0.0), seconds)[1] == pytest.approx(wanted)


@given(st.floats(0.01, 100), st.floats(0.001, 1))
def test_a_filter_goes_towards_a_value_and_never_beyond(cutoff: float, seconds: float) -> None:
    assert 0 < smoothing(cutoff, seconds) < 1

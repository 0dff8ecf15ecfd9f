"""Rigid transforms, judged by numpy's matrices of them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from turns import matrix, quaternions, vectors

from agents.parts import rigid
from agents.parts.rigid import Rigid

places = st.builds(Rigid, vectors, quaternions)
shares = st.floats(0, 1)
half_turns = st.tuples(*[st.floats(-1.8, 1.8)] * 3).filter(lambda vector: 1e-3 < math.hypot(*vector) < 3.14)


def homogeneous(place: Rigid) -> np.ndarray:
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = matrix(place.orientation), place.position
    return whole


@given(places, places)
def test_one_place_then_another_is_the_product_of_their_matrices(outer: Rigid, inner: Rigid) -> None:
    expected = homogeneous(outer) @ homogeneous(inner)
    np.testing.assert_allclose(homogeneous(outer.then(inner)), expected, atol=1e-6)


@given(places, vectors)
def test_the_inverse_takes_a_point_back(place: Rigid, point: rigid.Vector) -> None:
    np.testing.assert_allclose(place.inverse().apply(place.apply(point)), point, atol=1e-6)


@given(half_turns)
def test_the_logarithm_is_that_of_the_exponential(turn: rigid.Vector) -> None:
    np.testing.assert_allclose(rigid.rotation_vector(rigid.turned_by(turn)), turn, atol=1e-9)


@given(quaternions, half_turns)
def test_the_angle_between_two_orientations_is_how_far_one_was_turned(start: rigid.Quaternion, turn: rigid.Vector) -> None:
    turned = rigid.product(rigid.turned_by(turn), start)
    assert math.isclose(rigid.angle_between(start, turned), math.hypot(*turn), abs_tol=1e-6)


@given(places, places, shares)
def test_on_the_way_each_share_of_the_turn_takes_its_share_of_the_angle(a: Rigid, b: Rigid, share: float) -> None:
    whole, part = (rigid.angle_between(a.orientation, to.orientation) for to in (b, rigid.between(a, b, share)))
    assert math.isclose(part, share * whole, abs_tol=1e-6)


def test_a_small_turn_is_none_rather_than_a_division_by_zero() -> None:
    assert rigid.turned_by((1e-12, 0.0, 0.0)) == rigid.IDENTITY
    assert rigid.rotation_vector(rigid.IDENTITY) == (0.0, 0.0, 0.0)

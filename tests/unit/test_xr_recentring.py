"""The room's origin: wherever a head was, it is at x = z = 0 afterwards and looks along -Z, as high as before."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turns import matrix, quaternions, vectors

from agents.parts.frames import rotate
from agents.parts.rigid import Rigid, angle_between, heading, product, turned_by
from agents.xr.tracking.motion import Motion
from agents.xr.tracking.recentring import Recentring
from schemas.xr import Joint

places = st.builds(Rigid, vectors, quaternions)


@given(places, places)
def test_after_it_the_head_is_at_the_origin_and_looks_along_minus_z(before: Rigid, head: Rigid) -> None:
    recentring = Recentring()
    recentring.recentre(before)
    recentring.recentre(head)
    place = recentring.place(head)
    assert (place.position[0], place.position[2]) == pytest.approx((0, 0), abs=1e-6)
    assert place.position[1] == pytest.approx(head.position[1], abs=1e-6)
    assert math.remainder(heading(place.orientation), 2 * math.pi) == pytest.approx(0, abs=1e-6)


@given(places, places, places)
def test_things_keep_their_places_to_each_other(head: Rigid, first: Rigid, second: Rigid) -> None:
    recentring = Recentring()
    recentring.recentre(head)
    moved, other = recentring.place(first), recentring.place(second)
    now, before = moved.inverse().then(other), first.inverse().then(second)
    assert now.position == pytest.approx(before.position, abs=1e-5)
    assert angle_between(now.orientation, before.orientation) < 1e-6


@given(places, places, vectors, st.floats(0, 0.1))
def test_velocities_turn_with_the_room(head: Rigid, device: Rigid, velocity: tuple[float, float, float], seconds: float) -> None:
    recentring = Recentring()
    recentring.recentre(head)
    later = Rigid(tuple(np.array(device.position) + np.array(velocity) * seconds), device.orientation)
    linear = recentring.motion(Motion(velocity)).linear
    went = np.array(recentring.place(later).position) - np.array(recentring.place(device).position)
    np.testing.assert_allclose(went, np.array(linear) * seconds, atol=1e-6)


def test_joints_go_along_and_keep_their_radii() -> None:
    recentring = Recentring()
    recentring.recentre(Rigid((1.0, 1.6, 2.0), turned_by((0.0, math.pi / 2, 0.0))))
    (joint,) = recentring.joints((Joint(position=(0.0, 1.0, 2.0), orientation=(0.0, 0.0, 0.0, 1.0), radius=0.01),))
    assert joint.position == pytest.approx((0.0, 1.0, -1.0))
    assert joint.radius == 0.01


def test_it_says_where_the_head_was_published_until_then() -> None:
    recentring, head = Recentring(), Rigid((1.0, 1.6, 2.0), turned_by((0.0, 0.7, 0.0)))
    first, second = recentring.recentre(head), recentring.recentre(head)
    assert first.position == head.position
    assert first.yaw == pytest.approx(0.7)
    assert (*second.position, second.yaw) == pytest.approx((0.0, 1.6, 0.0, 0.0), abs=1e-9)


@given(st.floats(-3.1, 3.1), st.floats(-1.57, 1.57), st.floats(-0.5, 0.5))
def test_a_heading_is_how_the_head_is_turned_about_y_however_it_nods(yaw: float, pitch: float, roll: float) -> None:
    nodding = product(turned_by((pitch, 0.0, 0.0)), turned_by((0.0, 0.0, roll if abs(pitch) < 1.3 else 0.0)))
    assert heading(product(turned_by((0.0, yaw, 0.0)), nodding)) == pytest.approx(yaw, abs=1e-6)


def test_a_head_that_looks_at_the_floor_faces_where_its_crown_points() -> None:
    down = product(turned_by((0.0, 1.0, 0.0)), turned_by((-math.pi / 2, 0.0, 0.0)))
    assert rotate(down, (0.0, 0.0, -1.0)) == pytest.approx((0.0, -1.0, 0.0), abs=1e-9)
    assert heading(down) == pytest.approx(1.0)
    crown = matrix(down) @ (0.0, 1.0, 0.0)
    np.testing.assert_allclose(crown, rotate(turned_by((0.0, 1.0, 0.0)), (0.0, 0.0, -1.0)), atol=1e-9)

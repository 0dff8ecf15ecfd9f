"""A matrix is taken apart into place, orientation and scale, and these make it again."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from trimesh import transformations

from agents.engine.scenes.placement import NoPlace, Place, aim, matrix_of, orientation_of, place_of, rotation_of
from agents.parts.frames import Quaternion, Vector, rotate

NUMBER = st.floats(-100, 100)
FACTOR = st.floats(0.01, 100)


@st.composite
def quaternions(draw: st.DrawFn) -> Quaternion:
    parts = draw(st.tuples(*[st.floats(-1, 1)] * 4))
    length = math.hypot(*parts)
    assume(length > 0.1)
    x, y, z, w = (part / length for part in parts)
    return (x, y, z, w)


@given(quaternions())
def test_a_rotation_is_the_one_that_trimesh_has(orientation: Quaternion) -> None:
    x, y, z, w = orientation

    np.testing.assert_allclose(rotation_of(orientation), transformations.quaternion_matrix([w, x, y, z])[:3, :3], atol=1e-12)


@given(quaternions())
def test_a_rotation_says_its_quaternion(orientation: Quaternion) -> None:
    np.testing.assert_allclose(rotation_of(orientation_of(rotation_of(orientation))), rotation_of(orientation), atol=1e-9)


@given(st.tuples(NUMBER, NUMBER, NUMBER), quaternions(), st.tuples(FACTOR, FACTOR, FACTOR), st.booleans())
def test_a_matrix_is_taken_apart_and_made_again(position: Vector, orientation: Quaternion, scale: Vector, turned: bool) -> None:
    matrix = matrix_of(Place(position, orientation, scale)) @ np.diag([-1.0 if turned else 1.0, 1, 1, 1])

    found = place_of(matrix)

    assert found is not None
    place, mirrored = found
    assert mirrored == turned
    assert min(place.scale) > 0
    np.testing.assert_allclose(matrix_of(place) @ np.diag([-1.0 if mirrored else 1.0, 1, 1, 1]), matrix, atol=1e-6, rtol=1e-6)


def test_a_sheared_matrix_has_no_place() -> None:
    tilted = (0.0, 0.0, math.sin(0.4), math.cos(0.4))

    with pytest.raises(NoPlace, match="sheared"):
        place_of(matrix_of(Place((0, 0, 0), scale=(1, 3, 1))) @ matrix_of(Place((0, 0, 0), tilted)))


def test_what_is_flat_is_nowhere() -> None:
    assert place_of(np.diag([1.0, 0.0, 1.0, 1.0])) is None


@pytest.mark.parametrize("number", [1e10, -1e300, math.inf, math.nan])
def test_what_is_beyond_all_bounds_has_no_place(number: float) -> None:
    with pytest.raises(NoPlace, match="beyond"):
        place_of(np.diag([1.0, number, 1.0, 1.0]))


@given(st.tuples(NUMBER, NUMBER, NUMBER), st.tuples(NUMBER, NUMBER, NUMBER))
def test_what_aims_looks_at_its_target_and_stands_upright(position: Vector, target: Vector) -> None:
    along = np.array(target) - np.array(position)
    assume(math.hypot(along[0], along[2]) > 0.1)

    orientation = aim(position, target)

    np.testing.assert_allclose(rotate(orientation, (0, 0, -1)), along / np.linalg.norm(along), atol=1e-9)
    assert rotate(orientation, (1, 0, 0))[1] == pytest.approx(0, abs=1e-9)
    assert rotate(orientation, (0, 1, 0))[1] > 0

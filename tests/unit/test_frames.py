"""Frames of reference: the same place and the same turn, whoever looks; judged by matrices that numpy makes from the tables of axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turns import BUS, FORWARD, PANDA, RIGHT, UNREAL, UP, matrix, quaternions, vectors

from agents.parts import frames

BODY = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 3.0)]
"""Four corners of a body that no turn and no mirror maps onto itself."""
FROM_POLE = 0.1
"""Degrees from straight up or down within which Unreal's rotator takes an orientation for straight."""

rotators = st.tuples(st.floats(-89.9, 89.9), st.floats(-180, 180), st.floats(-180, 180))


def turned(body: list[frames.Vector], quaternion: frames.Quaternion) -> list[frames.Vector]:
    return [frames.rotate(quaternion, corner) for corner in body]


def rotator_matrix(rotator: frames.Rotator) -> np.ndarray:
    """Yaw takes X to Y, pitch lifts X to Z, roll takes Z to Y: Unreal's rotator, and roll is the first to turn."""
    (sp, sy, sr), (cp, cy, cr) = np.sin(np.radians(rotator)), np.cos(np.radians(rotator))
    yaw = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    pitch = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    roll = np.array([[1, 0, 0], [0, cr, sr], [0, -sr, cr]])
    return yaw @ pitch @ roll


class Way(NamedTuple):
    """From one frame to another: what places, what turns, both frames' axes, and how many units there make one here."""

    place: Callable[[frames.Vector], frames.Vector]
    turn: Callable[[frames.Quaternion], frames.Quaternion]
    here: np.ndarray
    there: np.ndarray
    unit: float

    @property
    def basis(self) -> np.ndarray:
        return self.there.T @ self.here


WAYS = [
    Way(frames.to_unreal, frames.rotation_to_unreal, BUS, UNREAL, 100.0),
    Way(frames.from_unreal, frames.rotation_from_unreal, UNREAL, BUS, 0.01),
    Way(frames.to_panda, frames.rotation_to_panda, BUS, PANDA, 1.0),
    Way(frames.from_panda, lambda turn: frames.rotation_from_unreal(frames.rotation_panda_to_unreal(turn)), PANDA, BUS, 1.0),
    Way(frames.unreal_to_panda, frames.rotation_unreal_to_panda, UNREAL, PANDA, 0.01),
    Way(frames.panda_to_unreal, frames.rotation_panda_to_unreal, PANDA, UNREAL, 100.0),
]
every_way = pytest.mark.parametrize("way", WAYS, ids=[way.place.__name__ for way in WAYS])


@every_way
@given(position=vectors)
def test_a_position_is_the_same_place_by_the_table_of_axes(way: Way, position: frames.Vector) -> None:
    assert way.place(position) == pytest.approx(way.basis @ position * way.unit, rel=1e-12, abs=1e-9)


@every_way
@given(quaternion=quaternions)
def test_a_rotation_is_the_same_turn_by_the_table_of_axes(way: Way, quaternion: frames.Quaternion) -> None:
    np.testing.assert_allclose(matrix(way.turn(quaternion)), way.basis @ matrix(quaternion) @ way.basis.T, atol=1e-12)


@every_way
@given(quaternion=quaternions)
def test_a_body_that_is_turned_and_then_converted_is_the_body_that_is_converted_and_then_turned(
    way: Way, quaternion: frames.Quaternion
) -> None:
    first = [way.place(corner) for corner in turned(BODY, quaternion)]
    second = turned([way.place(corner) for corner in BODY], way.turn(quaternion))

    np.testing.assert_allclose(first, second, atol=1e-9)


@every_way
def test_only_unreal_is_left_handed(way: Way) -> None:
    x, y, z = (np.array(way.place(corner)) - way.place(BODY[0]) for corner in BODY[1:])
    mirrored = (way.here is UNREAL) != (way.there is UNREAL)

    assert np.sign(np.cross(x, y) @ z) == (-1 if mirrored else 1)


@pytest.mark.parametrize(
    ("there", "back", "values"),
    [
        (frames.to_unreal, frames.from_unreal, vectors),
        (frames.to_panda, frames.from_panda, vectors),
        (frames.unreal_to_panda, frames.panda_to_unreal, vectors),
        (frames.scale_to_unreal, frames.scale_from_unreal, vectors),
        (frames.scale_unreal_to_panda, frames.scale_unreal_to_panda, vectors),
        (frames.rotation_to_unreal, frames.rotation_from_unreal, quaternions),
        (frames.rotation_unreal_to_panda, frames.rotation_panda_to_unreal, quaternions),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@given(data=st.data())
def test_there_and_back_is_where_it_began(
    data: st.DataObject, there: Callable[[Any], Any], back: Callable[[Any], Any], values: st.SearchStrategy[Any]
) -> None:
    value = data.draw(values)

    assert back(there(value)) == pytest.approx(value, rel=1e-9, abs=1e-9)


@given(vectors, quaternions)
def test_by_way_of_unreal_is_the_way_to_panda(position: frames.Vector, quaternion: frames.Quaternion) -> None:
    assert frames.unreal_to_panda(frames.to_unreal(position)) == pytest.approx(frames.to_panda(position))
    assert frames.rotation_unreal_to_panda(frames.rotation_to_unreal(quaternion)) == pytest.approx(frames.rotation_to_panda(quaternion))


@pytest.mark.parametrize(
    ("scale", "here", "there"),
    [
        (frames.scale_to_unreal, BUS, UNREAL),
        (frames.scale_from_unreal, UNREAL, BUS),
        (frames.scale_unreal_to_panda, UNREAL, PANDA),
    ],
)
@given(factors=vectors)
def test_a_scale_stretches_along_the_same_directions(
    factors: frames.Vector, scale: Callable[[frames.Vector], frames.Vector], here: np.ndarray, there: np.ndarray
) -> None:
    basis = there.T @ here

    np.testing.assert_array_equal(np.diag(scale(factors)), basis @ np.diag(factors) @ basis.T)


@given(quaternions, vectors)
def test_a_vector_is_rotated_as_by_the_matrix(quaternion: frames.Quaternion, vector: frames.Vector) -> None:
    np.testing.assert_allclose(frames.rotate(quaternion, vector), matrix(quaternion) @ vector, atol=1e-9)


@given(rotators)
def test_a_rotator_turns_as_yaw_after_pitch_after_roll(rotator: frames.Rotator) -> None:
    np.testing.assert_allclose(matrix(frames.rotation_of_rotator(rotator)), rotator_matrix(rotator), atol=1e-12)


@given(rotators)
def test_a_rotator_comes_back_from_its_quaternion(rotator: frames.Rotator) -> None:
    again = frames.rotator_of_rotation(frames.rotation_of_rotator(rotator))

    np.testing.assert_allclose(rotator_matrix(again), rotator_matrix(rotator), atol=1e-9)
    assert again[0] == pytest.approx(rotator[0], abs=1e-9)


@given(st.floats(90 - FROM_POLE, 90), st.sampled_from([-1, 1]), st.floats(-180, 180), st.floats(-180, 180))
def test_at_the_poles_a_rotator_turns_the_same_way_within_what_unreal_takes_for_straight(
    pitch: float, sign: int, yaw: float, roll: float
) -> None:
    quaternion = frames.rotation_of_rotator((sign * pitch, yaw, roll))

    again = rotator_matrix(frames.rotator_of_rotation(quaternion))
    np.testing.assert_allclose(again, matrix(quaternion), atol=math.radians(FROM_POLE))


@given(quaternions)
def test_any_rotation_has_a_rotator_of_angles_in_range(quaternion: frames.Quaternion) -> None:
    pitch, yaw, roll = frames.rotator_of_rotation(quaternion)

    assert abs(pitch) <= 90 and abs(yaw) <= 180 and abs(roll) <= 180
    np.testing.assert_allclose(rotator_matrix((pitch, yaw, roll)), matrix(quaternion), atol=math.radians(FROM_POLE))


@pytest.mark.parametrize(
    ("rotator", "looks"), [((0, 90, 0), RIGHT), ((0, -90, 0), -RIGHT), ((90, 0, 0), UP), ((-90, 0, 0), -UP), ((0, 0, 90), FORWARD)]
)
def test_a_camera_that_yaws_looks_right_and_one_that_pitches_looks_up(rotator: frames.Rotator, looks: np.ndarray) -> None:
    orientation = frames.rotation_from_unreal(frames.rotation_of_rotator(rotator))

    np.testing.assert_allclose(BUS @ frames.rotate(orientation, (0, 0, -1)), looks, atol=1e-12)

"""The stage's pan, tilt and roll: their signs, and their order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turns import matrix, place_of, poses, quaternions, turn_of

from agents.parts.frames import Quaternion, rotation_from_unreal, rotation_of_rotator
from agents.parts.tracking.errors import OutOfRange
from agents.parts.tracking.stage import StagePose, from_stage, to_stage
from schemas.scene import CameraPose

THIRTY = math.radians(30)
angles = st.floats(-180, 180)


def about(axis: np.ndarray, radians: float) -> Quaternion:
    """A turn by the right hand about an axis of the bus."""
    x, y, z = axis * math.sin(radians / 2)
    return (x, y, z, math.cos(radians / 2))


def orientation_of(pan: float, tilt: float, roll: float) -> Quaternion:
    """By Unreal's angles, whose signs are these."""
    return rotation_from_unreal(rotation_of_rotator((tilt, pan, roll)))


def of(orientation: Quaternion, position: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> CameraPose:
    return CameraPose(camera="left", position=position, orientation=orientation)


@pytest.mark.parametrize(
    ("axis", "radians", "angles"),
    [
        (np.array([0, 1, 0]), -THIRTY, (30, 0, 0)),
        (np.array([1, 0, 0]), THIRTY, (0, 30, 0)),
        (np.array([0, 0, 1]), -THIRTY, (0, 0, 30)),
    ],
    ids=["to the right about Y", "up about X", "clockwise about Z"],
)
def test_a_turn_of_the_bus_has_this_angle(axis: np.ndarray, radians: float, angles: tuple[float, float, float]) -> None:
    staged = to_stage(of(about(axis, radians)))

    assert (staged.pan, staged.tilt, staged.roll) == pytest.approx(angles, abs=1e-12)


def test_a_place_ahead_to_the_right_and_above_is_so_on_the_stage() -> None:
    assert to_stage(of((0, 0, 0, 1), position=(1, 2, -3))).position == (1, 3, 2)


@given(poses)
def test_pan_turns_the_axis_of_tilt_and_both_that_of_roll(pose: CameraPose) -> None:
    staged = to_stage(pose)

    np.testing.assert_allclose(place_of(staged), pose.position, rtol=1e-12)
    np.testing.assert_allclose(turn_of(staged), matrix(pose.orientation), atol=1e-7)


@given(angles, st.floats(-89.9, 89.9), angles)
def test_the_angles_of_a_rotator_are_those_of_the_stage(pan: float, tilt: float, roll: float) -> None:
    staged = to_stage(of(orientation_of(pan, tilt, roll)))

    turns = np.subtract((staged.pan, staged.tilt, staged.roll), (pan, tilt, roll)) / 360
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)


@pytest.mark.parametrize("tilt", [90, -90, 90 - 1e-6, -90 + 1e-6])
def test_a_camera_that_looks_straight_up_or_down_still_has_its_orientation(tilt: float) -> None:
    orientation = orientation_of(40, tilt, 25)

    np.testing.assert_allclose(turn_of(to_stage(of(orientation))), matrix(orientation), atol=1e-7)


@given(quaternions, st.floats(0.9991, 1.0009))
def test_a_length_that_is_nearly_one_makes_no_difference(orientation: Quaternion, factor: float) -> None:
    longer = of(tuple(part * factor for part in orientation))

    np.testing.assert_allclose(turn_of(to_stage(longer)), matrix(orientation), atol=1e-7)


@pytest.mark.parametrize(
    ("pose", "says"),
    [
        (of((0, 0, 0, 0)), "length of 0"),
        (of((0, 0, 0, 2)), "length of 2"),
        (of((math.nan, 0, 0, 1)), "finite"),
        (of((0, 0, 0, 1), position=(0, math.inf, 0)), "finite"),
    ],
)
def test_what_is_no_pose_is_refused(pose: CameraPose, says: str) -> None:
    with pytest.raises(OutOfRange, match=says):
        to_stage(pose)


@given(st.builds(StagePose, st.tuples(angles, angles, angles), angles, angles, angles))
def test_a_pose_of_the_stage_is_the_same_place_and_turn_on_the_bus(staged: StagePose) -> None:
    place = from_stage(staged)

    np.testing.assert_allclose(place.position, place_of(staged), atol=1e-9)
    np.testing.assert_allclose(matrix(place.orientation), turn_of(staged), atol=1e-9)


@given(poses)
def test_a_pose_comes_back_from_the_stage(pose: CameraPose) -> None:
    place = from_stage(to_stage(pose))

    np.testing.assert_allclose(place.position, pose.position, atol=1e-9)
    np.testing.assert_allclose(matrix(place.orientation), matrix(pose.orientation), atol=1e-6)

"""The stage's pan, tilt and roll: their signs, their order, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turns import BUS, FORWARD, PANDA, RIGHT, UP, matrix, poses, quaternions, stage_matrix

from agents.parts.frames import Quaternion
from agents.ue5.tracking.errors import OutOfRange
from agents.ue5.tracking.stage import StagePose, from_stage, to_stage
from schemas.scene import CameraPose

THIRTY = math.radians(30)
angles = st.floats(-180, 180)
stage_poses = st.builds(StagePose, st.just((0.0, 0.0, 0.0)), angles, st.floats(-90, 90), angles)


def about(axis: np.ndarray, radians: float) -> Quaternion:
    """A turn by the right hand about an axis of the bus."""
    x, y, z = axis * math.sin(radians / 2)
    return (x, y, z, math.cos(radians / 2))


def seen(orientation: Quaternion, direction: np.ndarray) -> np.ndarray:
    """Where a direction of the camera's body points, in rights, ups and forwards."""
    return BUS @ matrix(orientation) @ BUS.T @ direction


def of(orientation: Quaternion, position: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> CameraPose:
    return CameraPose(camera="left", position=position, orientation=orientation)


@pytest.mark.parametrize(
    ("angle", "part", "towards"),
    [
        (StagePose((0, 0, 0), 30, 0, 0), FORWARD, RIGHT),
        (StagePose((0, 0, 0), 0, 30, 0), FORWARD, UP),
        (StagePose((0, 0, 0), 0, 0, 30), UP, RIGHT),
    ],
    ids=["pan to the right", "tilt up", "roll clockwise from behind"],
)
def test_a_positive_angle_takes_this_part_of_the_body_there(angle: StagePose, part: np.ndarray, towards: np.ndarray) -> None:
    _, orientation = from_stage(angle)

    np.testing.assert_allclose(seen(orientation, part), math.cos(THIRTY) * part + math.sin(THIRTY) * towards, atol=1e-12)


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


@given(stage_poses)
def test_pan_turns_the_axis_of_tilt_and_both_that_of_roll(pose: StagePose) -> None:
    _, orientation = from_stage(pose)

    basis = PANDA.T @ BUS
    np.testing.assert_allclose(basis @ matrix(orientation) @ basis.T, stage_matrix(-pose.pan, pose.tilt, pose.roll), atol=1e-12)


@given(poses)
def test_a_pose_comes_back_from_the_stage(pose: CameraPose) -> None:
    position, orientation = from_stage(to_stage(pose))

    assert position == pytest.approx(pose.position)
    np.testing.assert_allclose(matrix(orientation), matrix(pose.orientation), atol=1e-7)


@given(stage_poses.filter(lambda pose: abs(pose.tilt) < 89.9))
def test_angles_come_back_from_the_bus(pose: StagePose) -> None:
    position, orientation = from_stage(pose)

    again = to_stage(of(orientation, position))
    turns = np.subtract((again.pan, again.tilt, again.roll), (pose.pan, pose.tilt, pose.roll)) / 360
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)


@pytest.mark.parametrize("tilt", [90, -90, 90 - 1e-6, -90 + 1e-6])
def test_a_camera_that_looks_straight_up_or_down_still_has_its_orientation(tilt: float) -> None:
    _, orientation = from_stage(StagePose((0, 0, 0), 40, tilt, 25))

    _, again = from_stage(to_stage(of(orientation)))
    np.testing.assert_allclose(matrix(again), matrix(orientation), atol=1e-7)


@given(quaternions, st.floats(0.9991, 1.0009))
def test_a_length_that_is_nearly_one_makes_no_difference(orientation: Quaternion, factor: float) -> None:
    longer = of(tuple(part * factor for part in orientation))

    np.testing.assert_allclose(matrix(from_stage(to_stage(longer))[1]), matrix(orientation), atol=1e-7)


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

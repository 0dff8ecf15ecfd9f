"""FreeD's D1: the manual's own numbers, round trips to the format's resolution, and what fits no message is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracking_readers import read_d1
from turns import matrix, place_of, poses, turn_of

from agents.parts.tracking.errors import OutOfRange
from agents.parts.tracking.stage import StagePose, to_stage
from agents.ue5.tracking.freed import encode
from schemas.scene import CameraPose

RESOLUTION = math.radians(1 / 32768)
SOME = CameraPose(camera="left", position=(1.0, 2.0, 3.0), orientation=(0.0, 0.0, 0.0, 1.0))


@pytest.mark.parametrize(("metres", "written"), [(1.0, "00fa00"), (-1.0, "ff0600"), (1.5, "017700"), (0.001, "000040")])
def test_places_are_the_numbers_of_the_manual(metres: float, written: str) -> None:
    assert encode(CameraPose(camera="left", position=(metres, 0.0, 0.0), orientation=(0.0, 0.0, 0.0, 1.0)), 7)[11:14].hex() == written


@pytest.mark.parametrize(("degrees", "written"), [(45, "168000"), (-10, "fb0000"), (1 / 32768, "000001")])
def test_angles_are_the_numbers_of_the_manual(degrees: float, written: str) -> None:
    half = math.radians(degrees) / 2
    tilted = CameraPose(camera="left", position=(0.0, 0.0, 0.0), orientation=(math.sin(half), 0.0, 0.0, math.cos(half)))
    assert encode(tilted, 7)[5:8].hex() == written


@given(poses, st.integers(0, 255))
def test_a_pose_is_written_as_the_manual_says(pose: CameraPose, camera: int) -> None:
    message = read_d1(encode(pose, camera))

    staged = to_stage(pose)
    assert message.camera == camera
    assert message.angles == pytest.approx((staged.pan, staged.tilt, staged.roll), abs=0.51 / 32768)
    assert message.position == pytest.approx(staged.position, abs=0.51 / 64e3)


@given(poses)
def test_a_pose_comes_back_to_the_resolution_of_the_format(pose: CameraPose) -> None:
    message = read_d1(encode(pose, 1))

    read = StagePose(message.position, *message.angles)
    np.testing.assert_allclose(place_of(read), pose.position, atol=0.51 / 64e3)
    np.testing.assert_allclose(turn_of(read), matrix(pose.orientation), atol=2 * RESOLUTION)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("metres", [131.073, -131.073, 1e9])
def test_a_place_beyond_the_reach_is_refused_and_never_wrapped(axis: int, metres: float) -> None:
    position = [0.0, 0.0, 0.0]
    position[axis] = metres

    with pytest.raises(OutOfRange, match=r"FreeD reaches 131\.072 m"):
        encode(CameraPose(camera="left", position=tuple(position), orientation=(0, 0, 0, 1)), 1)


@pytest.mark.parametrize("camera", [-1, 256])
def test_a_camera_that_fits_no_byte_is_refused(camera: int) -> None:
    with pytest.raises(OutOfRange, match=f"camera number {camera}"):
        encode(SOME, camera)

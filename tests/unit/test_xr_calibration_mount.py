"""Where a camera sits on its tracker, against a mount that is known; and OpenCV's frames against the bus's."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictured import CHARUCO, CHESSBOARD, IDEAL, places, true_corners
from turns import quaternions

from agents.parts.rigid import Rigid, angle_between, turned_by
from agents.xr.calibration.boards import corner_points, middle
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.hand_eye import FEWEST, METHODS, Pair, find_mount
from agents.xr.calibration.optical import board_in_camera, matrix_of, orientation_of
from agents.xr.calibration.poses import board_pose
from agents.xr.calibration.view import Corners
from schemas.cameras import Board

BOARD_PLACE = Rigid((0.4, 0.7, -2.0), turned_by((0.2, 1.1, -0.3)))
MOUNT = Rigid((0.03, 0.06, -0.08), turned_by((0.35, -0.1, 0.05)))


def pairs(mount: Rigid, cameras: list[Rigid], metres: float = 0.0) -> list[Pair]:
    """What tracker and camera say from each place, the camera off by so much (RMS in each direction)."""
    noise = np.random.default_rng(5).normal(0, metres, (len(cameras), 3))
    found = []
    for camera, (x, y, z) in zip(cameras, noise.tolist(), strict=True):
        seen = camera.inverse().then(BOARD_PLACE)
        found.append(Pair(camera.then(mount.inverse()), Rigid((x, y, z)).then(seen)))
    return found


def around(count: int, board: Board = CHARUCO) -> list[Rigid]:
    return [BOARD_PLACE.then(pose) for pose in places(board, count)]


@settings(max_examples=25, deadline=None)
@given(st.builds(Rigid, st.tuples(*[st.floats(-0.3, 0.3)] * 3), quaternions))
def test_any_mount_is_found_where_nothing_is_off(mount: Rigid) -> None:
    found = find_mount(pairs(mount, around(8)), CHARUCO)

    assert math.dist(found.position, mount.position) < 1e-5
    assert angle_between(found.orientation, mount.orientation) < 1e-5
    assert found.translation_residual < 1e-5


def test_the_method_that_is_named_fits_best_and_the_residual_says_how_well() -> None:
    found = find_mount(pairs(MOUNT, around(12), metres=0.002), CHARUCO)

    assert found.method in METHODS and found.views == 12
    assert 0.001 < found.translation_residual < 0.006
    assert math.dist(found.position, MOUNT.position) < 0.006


def test_too_few_views_make_no_mount() -> None:
    with pytest.raises(BadViews, match=f"at 3 good views: want {FEWEST}"):
        find_mount(pairs(MOUNT, around(3)), CHARUCO)


def test_turns_about_one_axis_make_no_mount_and_say_which_are_missing() -> None:
    rolled = [BOARD_PLACE.then(Rigid((0.05 * turn, 0.6, 0.0), turned_by((0.0, 0.2 * turn, 0.0)))) for turn in range(8)]

    with pytest.raises(BadViews, match="about one axis only") as raised:
        find_mount(pairs(MOUNT, rolled), CHARUCO)
    assert "roll" in raised.value.mend


def test_poses_of_other_moments_than_the_pictures_make_no_mount() -> None:
    good = pairs(MOUNT, around(10))
    shifted = [Pair(other.tracker, pair.board) for pair, other in zip(good, good[3:] + good[:3], strict=True)]

    with pytest.raises(BadViews, match="which lies still, moves by"):
        find_mount(shifted, CHARUCO)


def test_a_chessboard_that_looks_alike_from_both_ends_makes_no_mount() -> None:
    even = Board(pattern="chessboard", columns=8, rows=6)

    with pytest.raises(BadViews, match="looks alike from both ends"):
        find_mount(pairs(MOUNT, around(8)), even)


@pytest.mark.parametrize("board", [CHARUCO, CHESSBOARD], ids=["charuco", "chessboard"])
def test_a_board_is_found_where_it_lies_in_the_frame_of_the_bus(board: Board) -> None:
    for pose in places(board, 6):
        corners = Corners(np.arange(len(corner_points(board)), dtype=np.int32), true_corners(board, pose).astype(np.float32))

        seen = board_pose(corners, board, IDEAL)

        assert seen is not None
        assert math.dist(pose.then(seen).position, (0, 0, 0)) < 1e-5
        assert angle_between(pose.then(seen).orientation, (0, 0, 0, 1)) < 1e-4


def test_a_board_straight_ahead_with_its_top_up_has_its_face_towards_the_camera() -> None:
    across, down = middle(CHARUCO)

    seen = board_in_camera(np.zeros(3), np.array([-across, -down, 0.5]), CHARUCO)

    np.testing.assert_allclose(seen.position, (0, 0, -0.5), atol=1e-9)
    np.testing.assert_allclose(seen.apply((0, 0.1, 0)), (0, 0, -0.4), atol=1e-9)
    np.testing.assert_allclose(seen.apply((0, 0, -0.1)), (0, 0.1, -0.5), atol=1e-9)


@given(st.tuples(*[st.floats(-1.7, 1.7)] * 3))
def test_matrices_are_those_of_opencv_and_lead_back(turn: tuple[float, float, float]) -> None:
    matrix = matrix_of(turned_by(turn))

    np.testing.assert_allclose(matrix, cv2.Rodrigues(np.array(turn))[0], atol=1e-9)
    assert angle_between(orientation_of(matrix), turned_by(turn)) < 1e-6

"""Corners of boards in pictures that are computed, so that each corner is known: sharp, blurred and noisy."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictured import CHARUCO, CHESSBOARD, off_truth, picture, pictures, places, true_corners

from agents.xr.calibration import detection
from agents.xr.calibration.boards import charuco, check, corner_points
from agents.xr.calibration.detection import find_corners
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.looking import Missed, look
from agents.xr.calibration.view import Grey, Sighting, View
from agents.xr.cameras.pixels import Pixels
from schemas.cameras import Board

POSES = {board.pattern: places(board, 8) for board in (CHARUCO, CHESSBOARD)}


TIMES = 4
"""As many pixels to each side has an enlarged picture, of a camera that is no sharper."""


def enlarged(sharp: Pixels) -> Grey:
    grey = cv2.cvtColor(sharp, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, None, fx=TIMES, fy=TIMES, interpolation=cv2.INTER_CUBIC), np.uint8)


def in_enlarged(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return (points + 0.5) * TIMES - 0.5


def smeared(sharp: Pixels, pixels: int) -> Pixels:
    """As when the camera moves sideways."""
    return np.asarray(cv2.blur(sharp, (pixels, 1)), np.uint8)


@pytest.mark.parametrize("board", [CHARUCO, CHESSBOARD], ids=["charuco", "chessboard"])
@pytest.mark.parametrize(("blur", "noise"), [(0.0, 0.0), (0.8, 3.0), (1.3, 5.0)])
def test_corners_are_found_within_a_fraction_of_a_pixel(board: Board, blur: float, noise: float) -> None:
    poses = POSES[board.pattern]
    found = [(look(view, board), pose) for view, pose in zip(pictures(board, poses, blur, noise), poses, strict=True)]

    errors = np.concatenate([off_truth(seen, board, pose) for seen, pose in found if isinstance(seen, Sighting)])

    assert len(errors) >= 0.85 * len(poses) * len(corner_points(board))
    assert np.sqrt(np.mean(errors**2)) < 0.12
    assert np.percentile(errors, 99) < 0.3


def test_in_a_large_picture_a_chessboard_is_looked_for_in_a_small_one_and_found_as_exactly() -> None:
    poses = POSES["chessboard"]
    found = [(find_corners(enlarged(picture(CHESSBOARD, pose)), CHESSBOARD), pose) for pose in poses]

    errors = [np.linalg.norm(seen.points - in_enlarged(true_corners(CHESSBOARD, pose)), axis=1) for seen, pose in found if seen]

    assert len(errors) == len(poses)
    assert np.sqrt(np.mean(np.square(errors))) < 0.12 * TIMES


@pytest.mark.parametrize("board", [CHARUCO, CHESSBOARD], ids=["charuco", "chessboard"])
def test_what_takes_long_in_a_large_picture_is_done_in_a_small_one(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(cv2, "findChessboardCorners", lambda grey, size: (sizes.append(grey.size), (False, None))[1])
    seen = SimpleNamespace(detectMarkers=lambda grey: (sizes.append(grey.size), (None, None, None))[1])
    monkeypatch.setattr(cv2.aruco, "ArucoDetector", lambda dictionary: seen)

    look(View("", np.full((3000, 4000, 3), 128, np.uint8)), board)

    assert sizes and max(sizes) < 1.01 * detection.MOST_PIXELS


def test_a_chessboard_is_numbered_from_the_same_end_whichever_way_up_it_is_seen() -> None:
    upright = picture(CHESSBOARD, POSES["chessboard"][0])

    sightings = [look(View("", seen, None), CHESSBOARD) for seen in (upright, np.ascontiguousarray(upright[::-1, ::-1]))]

    first, second = (seen.corners.points for seen in sightings if isinstance(seen, Sighting))
    height, width = upright.shape[:2]
    np.testing.assert_allclose(second, (width - 1, height - 1) - first, atol=0.1)


def test_a_picture_that_is_smeared_in_one_direction_is_blurred() -> None:
    sharp = picture(CHARUCO, POSES["charuco"][0])

    assert isinstance(look(View("sharp", sharp), CHARUCO), Sighting)
    missed = look(View("smeared", smeared(sharp, 13)), CHARUCO)

    assert isinstance(missed, Missed) and missed.cause == "blur"


@pytest.mark.parametrize("board", [CHARUCO, CHESSBOARD], ids=["charuco", "chessboard"])
def test_a_picture_without_a_board_shows_none(board: Board) -> None:
    grey = np.random.default_rng(1).integers(0, 255, (300, 400), np.uint8)

    assert find_corners(grey, board) is None
    missed = look(View("noise", np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)), board)
    assert isinstance(missed, Missed) and missed.cause == "no board"


@pytest.mark.parametrize(
    ("board", "reason"),
    [
        (Board(square=0.03, marker=0.03), "do not fit"),
        (Board(columns=20, rows=20), "has 200 markers, DICT_4X4_50 has 50"),
        (Board(dictionary="DICT_9X9_50"), "no dictionary"),
    ],
)
def test_a_board_that_cannot_be_is_refused_and_says_what_to_do(board: Board, reason: str) -> None:
    with pytest.raises(BadViews, match=reason) as raised:
        check(board)
    assert raised.value.mend


def test_a_charuco_boards_corners_are_opencvs_own() -> None:
    np.testing.assert_array_equal(corner_points(CHARUCO), charuco(CHARUCO).getChessboardCorners())

"""The tour around a board: what a camera on it would see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictured import CHARUCO, CHESSBOARD, LENS, true_corners
from turns import quaternions, vectors

from agents.parts.frames import rotate
from agents.parts.rigid import Rigid
from agents.xr.calibration.tour import TILTS, tour
from schemas.cameras import Board

COUNT = 15
BOARDS = pytest.mark.parametrize(
    "board", [CHARUCO, CHESSBOARD, Board(columns=5, rows=9, square=0.1, marker=0.07)], ids=lambda board: board.pattern
)


@BOARDS
def test_every_view_has_the_whole_board(board: Board) -> None:
    for pose in tour(board, Rigid(), LENS, COUNT):
        seen = true_corners(board, pose)

        assert (seen > 0).all() and (seen < (LENS.width - 1, LENS.height - 1)).all()


@BOARDS
def test_the_board_comes_into_every_part_of_the_picture(board: Board) -> None:
    seen = np.concatenate([true_corners(board, pose) for pose in tour(board, Rigid(), LENS, COUNT)])

    cells = {tuple(cell) for cell in (seen * 3 / (LENS.width, LENS.height)).astype(int).tolist()}
    assert len(cells) == 9


def test_the_camera_is_above_the_board_at_every_tilt_up_to_45_degrees() -> None:
    heights = [pose.position for pose in tour(CHARUCO, Rigid(), LENS, COUNT)]

    tilts = [math.acos(y / math.hypot(x, y, z)) for x, y, z in heights]
    assert sorted({round(tilt, 6) for tilt in tilts}) == pytest.approx(sorted(TILTS), abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.builds(Rigid, vectors, quaternions))
def test_the_tour_goes_where_the_board_is(place: Rigid) -> None:
    for pose, at_home in zip(tour(CHARUCO, place, LENS, 4), tour(CHARUCO, Rigid(), LENS, 4), strict=True):
        np.testing.assert_allclose(place.inverse().apply(pose.position), at_home.position, atol=1e-6)
        ahead = rotate(place.inverse().orientation, rotate(pose.orientation, (0.0, 0.0, -1.0)))
        np.testing.assert_allclose(ahead, rotate(at_home.orientation, (0.0, 0.0, -1.0)), atol=1e-6)


@pytest.mark.parametrize("square", [5e-324, math.nan])
def test_a_board_that_is_seen_from_nowhere_ends_the_tour_all_the_same(square: float) -> None:
    assert len(list(tour(Board(square=square), Rigid(), LENS, COUNT))) == COUNT

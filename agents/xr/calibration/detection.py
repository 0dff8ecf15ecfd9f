"""Finds a board's corners in a picture, to a tenth of a pixel.

The ways were chosen by measuring, against boards of which every corner is known: sharp, blurred, and with noise. ChArUco: OpenCV's own
windows, which keep clear of the markers, once the markers' corners are refined too; one more refinement made clean pictures a little better
and blurred ones worse. Chessboards: OpenCV's older detector, with windows that follow the squares, came nearer to the truth than
`findChessboardCornersSB`. A window of one size for all spoils most: where it reaches the next corner, the result is pixels off.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.xr.calibration.boards import charuco
from agents.xr.calibration.neighbours import Pairs, distances, neighbours
from agents.xr.calibration.view import Corners, Grey, Points
from schemas.cameras import Board

WINDOW = 0.35
"""Half the side of the window for a chessboard's corner, as a share of the way to the nearest other corner."""
NARROWEST, WIDEST = 5, 11
"""Pixels: half the side of such a window."""
_UNTIL = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 40, 1e-3)


def find_corners(grey: Grey, board: Board) -> Corners | None:
    """The corners that are seen, of a chessboard all of them; None: not a single one."""
    return _charuco(grey, board) if board.pattern == "charuco" else _chessboard(grey, board)


def _charuco(grey: Grey, board: Board) -> Corners | None:
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    detector = cv2.aruco.CharucoDetector(charuco(board), cv2.aruco.CharucoParameters(), parameters)
    points, numbers, _, _ = detector.detectBoard(grey)
    if numbers is None or points is None or not len(numbers):
        return None
    return Corners(np.asarray(numbers, np.int32).reshape(-1), np.asarray(points, np.float32).reshape(-1, 2))


def _chessboard(grey: Grey, board: Board) -> Corners | None:
    found, seen = cv2.findChessboardCorners(grey, (board.columns, board.rows))
    if not found:
        return None
    points = np.asarray(seen, np.float32).reshape(-1, 2)
    numbers = np.arange(len(points), dtype=np.int32)
    refined = _refined(grey, points, neighbours(numbers, board.columns))
    return Corners(numbers, _dark_square_first(grey, refined, board))


def _refined(grey: Grey, points: Points, pairs: Pairs) -> Points:
    """Each corner in a window of its own size: a board that is seen askew has near squares and far ones."""
    windows = np.clip(WINDOW * _nearest(points, pairs), NARROWEST, WIDEST).astype(int)
    refined = points.copy()
    for window in np.unique(windows):
        of_size = windows == window
        some = np.ascontiguousarray(points[of_size])
        refined[of_size] = cv2.cornerSubPix(grey, some, (int(window), int(window)), (-1, -1), _UNTIL)
    return refined


def _nearest(points: Points, pairs: Pairs) -> NDArray[np.float64]:
    """How far each corner's nearest neighbour is [n]."""
    nearest = np.full(len(points), np.inf)
    for end in pairs.T:
        np.minimum.at(nearest, end, distances(points, pairs))
    return nearest


def _dark_square_first(grey: Grey, points: Points, board: Board) -> Points:
    """Numbered from the end where the square between the first corners is dark: a chessboard looks alike from both ends but for that.

    One with an even sum of columns and rows looks quite alike.
    """
    at, columns = points.reshape(board.rows, board.columns, 2), board.columns
    first, last = at[:2, :2].mean(axis=(0, 1)), at[-2:, columns - 2 :].mean(axis=(0, 1))
    middles = np.stack([first, last])[None].astype(np.float32)
    dark, bright = cv2.remap(grey, middles[..., 0], middles[..., 1], cv2.INTER_LINEAR).ravel()
    return points if dark <= bright else points[::-1].copy()

"""Finds a board's corners in a picture, to a tenth of a pixel.

The ways were chosen by measuring, against boards of which every corner is known: sharp, blurred, and with noise. ChArUco: OpenCV's own
windows, which keep clear of the markers, once the markers' corners are refined too; one more refinement made clean pictures a little better
and blurred ones worse. Chessboards: OpenCV's older detector, with windows that follow the squares, came nearer to the truth than
`findChessboardCornersSB`. A window of one size for all spoils most: where it reaches the next corner, the result is pixels off.
"""

from __future__ import annotations

import math

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
MOST_PIXELS = 1_500_000
"""Of a picture in which chessboards are looked for: with clutter in it, four times as many take ten times as long."""
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
    small = shrunk(grey)
    found, seen = cv2.findChessboardCorners(small, (board.columns, board.rows))
    if not found:
        return None
    points = _enlarged(np.asarray(seen, np.float32).reshape(-1, 2), small, grey)
    numbers = np.arange(len(points), dtype=np.int32)
    refined = _refined(grey, points, neighbours(numbers, board.columns))
    return Corners(numbers, _dark_square_first(grey, refined, board))


def shrunk(grey: Grey) -> Grey:
    """The picture with MOST_PIXELS, or as it is where it has no more."""
    if grey.size <= MOST_PIXELS:
        return grey
    share = math.sqrt(MOST_PIXELS / grey.size)
    height, width = (max(round(edge * share), 1) for edge in grey.shape)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _enlarged(points: Points, small: Grey, grey: Grey) -> Points:
    """Points of a picture that was shrunk where they are in the whole one: the edges of both, not their first pixels, lie on each other."""
    times = np.array(grey.shape[::-1]) / small.shape[::-1]
    return np.asarray((points + 0.5) * times - 0.5, np.float32)


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

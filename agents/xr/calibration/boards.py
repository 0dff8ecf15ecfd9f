"""Boards as OpenCV has them: where their corners are, in metres, X to the right, Y down and Z into the board.

The origin is a ChArUco board's upper left corner, or the first inner corner of a chessboard.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.xr.calibration.errors import BadViews
from schemas.cameras import Board

ObjectPoints = NDArray[np.float32]
"""[n, 3] in metres."""


def charuco(board: Board) -> cv2.aruco.CharucoBoard:
    """OpenCV's own board, of the pattern that it has had since 4.6. Raises BadViews where there can be none."""
    if board.marker >= board.square:
        raise BadViews(f"markers of {board.marker} m do not fit into squares of {board.square} m", "give both edges in metres, as printed")
    dictionary = _dictionary(board.dictionary)
    markers = board.columns * board.rows // 2
    if markers > len(dictionary.bytesList):
        have = f"{board.dictionary} has {len(dictionary.bytesList)}"
        raise BadViews(f"a board of {board.columns}x{board.rows} squares has {markers} markers, {have}", "name the board's own dictionary")
    return cv2.aruco.CharucoBoard((board.columns, board.rows), board.square, board.marker, dictionary)


def check(board: Board) -> None:
    """Raises BadViews where there can be no such board."""
    if board.pattern == "charuco":
        charuco(board)


def corner_points(board: Board) -> ObjectPoints:
    """Where the corners are, by their number."""
    if board.pattern == "charuco":
        return np.asarray(charuco(board).getChessboardCorners(), np.float32)
    rows, columns = np.divmod(np.arange(board.columns * board.rows), board.columns)
    return np.stack([columns, rows, 0 * rows], axis=1).astype(np.float32) * np.float32(board.square)


def corners_in_row(board: Board) -> int:
    return board.columns - 1 if board.pattern == "charuco" else board.columns


def extent(board: Board) -> tuple[float, float]:
    """Width and height in metres of all its squares."""
    outer = 0 if board.pattern == "charuco" else 1  # a chessboard is named by its inner corners
    return ((board.columns + outer) * board.square, (board.rows + outer) * board.square)


def middle(board: Board) -> tuple[float, float]:
    """Where the middle of the board is, from the origin."""
    width, height = extent(board)
    outer = 0.0 if board.pattern == "charuco" else board.square
    return (width / 2 - outer, height / 2 - outer)


def is_ambiguous(board: Board) -> bool:
    """Whether it looks the same from both ends: a chessboard with an even sum of columns and rows."""
    return board.pattern == "chessboard" and (board.columns + board.rows) % 2 == 0


def _dictionary(name: str) -> cv2.aruco.Dictionary:
    number = getattr(cv2.aruco, name, None)
    if not name.startswith("DICT_") or not isinstance(number, int):
        raise BadViews(f"OpenCV has no dictionary of markers {name!r}", f"name one of {', '.join(_dictionaries())}")
    return cv2.aruco.getPredefinedDictionary(number)


def _dictionaries() -> list[str]:
    return sorted(name for name in dir(cv2.aruco) if name.startswith("DICT_") and name.isupper())

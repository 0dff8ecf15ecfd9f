"""Looks at one view: the board in it, or why it is of no use."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from msgspec import Struct

from agents.xr.calibration.boards import corner_points, corners_in_row
from agents.xr.calibration.detection import find_corners
from agents.xr.calibration.foreign import foreign_markers
from agents.xr.calibration.neighbours import distances, downward, neighbours, rightward
from agents.xr.calibration.sharpness import is_all_blurred, is_blurred
from agents.xr.calibration.view import Corners, Grey, Sighting, View
from schemas.cameras import Board

FEWEST_CORNERS = 8
_BENT = 0.3
"""As a share of a square's edge: so far off a plane (RMS) a lens bends a board's corners at most."""

Cause = Literal["no board", "few corners", "blur", "another board"]


class Missed(Struct, frozen=True):
    """A view that is of no use: why, in a word and in a sentence."""

    name: str
    cause: Cause
    reason: str


def look(view: View, board: Board) -> Sighting | Missed:
    """Takes a tenth of a second, for the largest pictures some seconds: off the event loop."""
    grey = np.asarray(cv2.cvtColor(view.picture, cv2.COLOR_BGR2GRAY), np.uint8)
    corners = find_corners(grey, board)
    if corners is None:
        return _nothing(view.name, grey, board)
    if not _is_enough(corners, board):
        return _few(view.name, grey, len(corners.numbers))
    if not _is_flat(corners, board):
        return Missed(view.name, "another board", _other(grey, board) or "the corners that are seen do not lie as those of this board do")
    if is_blurred(grey, corners, board):
        return Missed(view.name, "blur", "the edges of the board are blurred")
    return Sighting(view.name, (grey.shape[1], grey.shape[0]), corners, view.tracker)


def _nothing(name: str, grey: Grey, board: Board) -> Missed:
    pattern = "charuco board" if board.pattern == "charuco" else "chessboard"
    unseen = f"no corner of a {pattern} ({board.columns} by {board.rows}) is seen"
    if other := _other(grey, board):
        return Missed(name, "another board", other)
    if is_all_blurred(grey):
        return Missed(name, "blur", f"it is blurred: {unseen}")
    return Missed(name, "no board", unseen)


def _few(name: str, grey: Grey, corners: int) -> Missed:
    seen = f"{corners} corners of the board are seen: want {FEWEST_CORNERS}, in two rows"
    return Missed(name, "blur", f"it is blurred: {seen}") if is_all_blurred(grey) else Missed(name, "few corners", seen)


def _other(grey: Grey, board: Board) -> str | None:
    seen = foreign_markers(grey, board)
    return None if seen is None else f"another board is seen: {seen}"


def _is_enough(corners: Corners, board: Board) -> bool:
    in_row = corners_in_row(board)
    fewest = min(FEWEST_CORNERS, len(corner_points(board)))
    both = len(rightward(corners.numbers, in_row)) and len(downward(corners.numbers, in_row))
    return len(corners.numbers) >= fewest and bool(both)


def _is_flat(corners: Corners, board: Board) -> bool:
    """Whether the corners are where a plane's are, but for what a lens does to it."""
    flat = corner_points(board)[corners.numbers, :2]
    plane, _ = cv2.findHomography(flat, corners.points)
    if plane is None:
        return False
    there = cv2.perspectiveTransform(flat[None], plane)[0]
    off = float(np.sqrt(np.mean(np.sum((there - corners.points) ** 2, axis=1))))
    edge = float(np.median(distances(corners.points, neighbours(corners.numbers, corners_in_row(board)))))
    return off < _BENT * edge

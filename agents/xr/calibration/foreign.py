"""Markers in a picture that are not the board's: the picture is of another one."""

from __future__ import annotations

import cv2

from agents.xr.calibration.boards import charuco
from agents.xr.calibration.detection import shrunk
from agents.xr.calibration.view import Grey
from schemas.cameras import Board

FAMILIES = (
    "DICT_4X4_1000",
    "DICT_5X5_1000",
    "DICT_6X6_1000",
    "DICT_7X7_1000",
    "DICT_ARUCO_ORIGINAL",
    "DICT_APRILTAG_36H11",
)
"""The largest of each kind: the smaller ones are their beginnings."""
_KIND = len("DICT_4X4")
"""Letters of a dictionary's name that say which kind it is."""
_FEWEST = 4
"""Markers of a dictionary: some clutter looks like one or two."""


def foreign_markers(grey: Grey, board: Board) -> str | None:
    """Words for the markers in a picture that another board has; None: there are not enough of any.

    It looks for each kind of marker, which takes a few times as long as to look for the board.
    """
    if board.pattern == "charuco" and (own := _beyond(grey, board)):
        return own
    own_kind = board.dictionary[:_KIND] if board.pattern == "charuco" else None
    for family in FAMILIES:
        if family[:_KIND] == own_kind:
            continue
        numbers = _numbers(grey, cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, family)))
        if len(numbers) >= _FEWEST:
            return f"{len(numbers)} markers of {family}"
    return None


def _beyond(grey: Grey, board: Board) -> str | None:
    """Markers of the board's dictionary, where the board is laid out in another way, or has not so many."""
    pattern = charuco(board)
    numbers = _numbers(grey, pattern.getDictionary())
    if len(numbers) < _FEWEST:
        return None
    return f"markers {numbers[0]} to {numbers[-1]} of {board.dictionary}, and the board has 0 to {len(pattern.getIds()) - 1}"


def _numbers(grey: Grey, dictionary: cv2.aruco.Dictionary) -> list[int]:
    _, numbers, _ = cv2.aruco.ArucoDetector(dictionary).detectMarkers(shrunk(grey))
    return [] if numbers is None else sorted(int(number) for number in numbers.ravel())

"""How much the views differ: a camera is known only by a board that is turned, all over the picture (Zhang 2000, sections 3.3 and 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.xr.calibration.boards import corner_points
from agents.xr.calibration.view import Sighting
from schemas.cameras import Board

TURNED = math.radians(15)
"""Between the boards of some two views, at least; what is asked for is more."""
WANTED_TURN = math.radians(35)
CELLS = 3
"""The picture's columns and rows, of which the board is to be in each."""
FEWEST_CELLS = 4
"""Of the CELLS by CELLS."""
NEW = 0.04
"""Of a picture's diagonal: a view of which the corners have moved by less shows nothing new."""

_COLUMNS, _ROWS = ("left", "middle", "right"), ("upper", "central", "lower")


def turned(sightings: Sequence[Sighting], board: Board) -> float:
    """The largest angle between the boards of two views, in radians, as a camera of an ordinary focal length sees them."""
    normals = np.array([_normal(sighting, board) for sighting in sightings])
    return float(np.arccos(np.clip(normals @ normals.T, -1, 1)).max())


def covered(sightings: Sequence[Sighting]) -> set[tuple[int, int]]:
    """Columns and rows of the cells of the picture in which a corner of the board was seen."""
    return {cell for sighting in sightings for cell in _cells(sighting)}


def is_new(sighting: Sighting, before: Sequence[Sighting]) -> bool:
    """Whether no earlier view shows the board just there."""
    return all(_moved(sighting, other) >= NEW * math.hypot(*sighting.size) for other in before)


def hint(sightings: Sequence[Sighting], board: Board) -> str:
    """What the next view should be."""
    if not sightings:
        return "show the whole board, near enough to fill a third of the picture"
    if turned(sightings, board) < WANTED_TURN:
        return f"tilt the board against the camera by up to 45 degrees: so far by {math.degrees(turned(sightings, board)):.0f}"
    empty = sorted({(column, row) for column in range(CELLS) for row in range(CELLS)} - covered(sightings))
    if empty:
        column, row = empty[0]
        return f"bring the board to the {_ROWS[row]} {_COLUMNS[column]} of the picture"
    return "another distance, and another tilt"


def _normal(sighting: Sighting, board: Board) -> NDArray[np.float64]:
    """Of the board, in the camera's frame."""
    width, height = sighting.size
    focal = float(max(sighting.size))
    ordinary = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    points = corner_points(board)[sighting.corners.numbers]
    _, rotation, _ = cv2.solvePnP(points, sighting.corners.points, ordinary, np.zeros(5), flags=cv2.SOLVEPNP_IPPE)
    return np.asarray(cv2.Rodrigues(rotation)[0][:, 2], np.float64)


def _cells(sighting: Sighting) -> set[tuple[int, int]]:
    at = np.clip(sighting.corners.points * CELLS / np.array(sighting.size), 0, CELLS - 1).astype(int)
    return {(int(column), int(row)) for column, row in at}


def _moved(sighting: Sighting, other: Sighting) -> float:
    """How far, in pixels, the corners seen in both have moved, RMS; without any: endlessly."""
    _, here, there = np.intersect1d(sighting.corners.numbers, other.corners.numbers, return_indices=True)
    if not len(here):
        return math.inf
    off = sighting.corners.points[here] - other.corners.points[there]
    return float(np.sqrt(np.mean(np.sum(off**2, axis=1))))

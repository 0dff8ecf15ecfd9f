"""OpenCV's frames and the bus's: the one place where one becomes the other.

OpenCV's camera looks along +Z with Y down, the bus's along -Z with Y up: half a turn about X. OpenCV's board has its origin at a corner, X
to the right, Y down and Z into the board; the bus's, as the engine's board, has it in the middle, X to the right, Y out of its face, and -Z
towards its top.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.parts.frames import Quaternion
from agents.parts.rigid import Rigid, turned_by
from agents.xr.calibration.boards import middle
from schemas.cameras import Board

_HALF_TURN = Rigid(orientation=(1.0, 0.0, 0.0, 0.0))
_LAID_DOWN = turned_by((-math.pi / 2, 0.0, 0.0))


def board_in_camera(rotation: NDArray[np.float64], translation: NDArray[np.float64], board: Board) -> Rigid:
    """Where OpenCV says that a board is, by its vectors of rotation and translation [3], in the bus's frames of both."""
    x, y, z = (float(value) for value in np.ravel(translation))
    turn = tuple(float(value) for value in np.ravel(rotation))
    seen = Rigid((x, y, z), turned_by((turn[0], turn[1], turn[2])))
    across, down = middle(board)
    return _HALF_TURN.then(seen).then(Rigid((across, down, 0.0), _LAID_DOWN))


def matrix_of(orientation: Quaternion) -> NDArray[np.float64]:
    """The rotation matrix [3, 3]."""
    x, y, z, w = orientation
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def orientation_of(matrix: NDArray[np.float64]) -> Quaternion:
    """The rotation of a matrix [3, 3]."""
    x, y, z = (float(value) for value in cv2.Rodrigues(matrix)[0].ravel())
    return turned_by((x, y, z))

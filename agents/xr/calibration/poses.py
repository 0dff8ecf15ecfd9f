"""Where a board is before a camera that is known."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.parts.rigid import Rigid
from agents.xr.calibration.boards import corner_points
from agents.xr.calibration.optical import board_in_camera
from agents.xr.calibration.view import Corners
from schemas.cameras import Board, CameraModel


def board_pose(corners: Corners, board: Board, camera: CameraModel) -> Rigid | None:
    """The board in the camera's frame, both the bus's (see agents.xr.calibration.optical); None: its corners do not tell."""
    points = corner_points(board)[corners.numbers]
    distortion = np.array(camera.distortion)
    try:
        found, rotation, translation = cv2.solvePnP(points, corners.points, camera_matrix(camera), distortion, flags=cv2.SOLVEPNP_IPPE)
    except cv2.error:  # corners in one line, or fewer than four
        return None
    if not found:
        return None
    rotation, translation = cv2.solvePnPRefineLM(points, corners.points, camera_matrix(camera), distortion, rotation, translation)
    return board_in_camera(np.asarray(rotation, np.float64), np.asarray(translation, np.float64), board)


def camera_matrix(camera: CameraModel) -> NDArray[np.float64]:
    """OpenCV's [3, 3], in pixels."""
    lens = camera.intrinsics
    return np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])

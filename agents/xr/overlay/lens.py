"""A calibrated camera, drawn by an engine that knows square pixels, an axis through the picture's middle, and no distortion.

The engine draws a pinhole view that is wide enough, and each pixel of the camera's picture takes what lies on its ray there.
Source of the model: OpenCV 4.14, "Camera Calibration and 3D Reconstruction".
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.xr.calibration.poses import camera_matrix
from schemas.cameras import CameraModel
from schemas.engine import Intrinsics

WIDEST = math.radians(160)
"""A pinhole view that is wider has few pixels left for its middle, and engines draw none of 180 degrees."""
OUTSIDE = -2.0
"""Where no picture has a pixel, nor a neighbour of one."""

_ITERATIONS, _STEP = 100, 1e-10
_TOLERANCE = 0.01
"""Pixels by which a ray may miss its pixel: what misses it by more was not found, for the distortion folds there."""

Points = NDArray[np.float64]
Map = NDArray[np.float32]


class BadCamera(ValueError):
    """No pinhole view covers what this camera sees."""


def enclosing_view(camera: CameraModel, engine_width: int, engine_height: int) -> float:
    """The horizontal field of view in radians of the narrowest picture of this size that has all that the camera sees.

    The centre of each of the camera's pixels then lies between centres of drawn ones. Raises BadCamera.
    """
    rays = _rays(camera, _border(camera.intrinsics))
    found = np.abs(rays[np.isfinite(rays).all(axis=1)])
    if not len(found):
        raise BadCamera(f"the distortion {camera.distortion} folds the picture within its border: calibrate the camera again")
    across, up = found.max(axis=0)
    angle = 2 * math.atan(max(across * engine_width / (engine_width - 1), up * engine_width / (engine_height - 1)))
    if angle > WIDEST:
        raise BadCamera(
            f"the camera sees {math.degrees(angle):.0f} degrees, and a pinhole view has {math.degrees(WIDEST):.0f} at most: "
            "a fisheye lens needs another model"
        )
    return angle


@lru_cache(maxsize=2)
def maps(camera: CameraModel, drawn: Intrinsics) -> tuple[Map, Map]:
    """For each pixel of the camera's picture, column and row of it in the drawn picture: what cv2.remap takes.

    OUTSIDE, where the distortion folds and no ray meets the pixel.
    """
    lens = camera.intrinsics
    columns, rows = np.meshgrid(np.arange(lens.width, dtype=np.float64), np.arange(lens.height, dtype=np.float64))
    rays = _rays(camera, np.stack([columns.ravel(), rows.ravel()], axis=1))
    at = rays * (drawn.fx, drawn.fy) + (drawn.cx, drawn.cy)
    across, down = np.nan_to_num(at, nan=OUTSIDE).astype(np.float32).T.reshape(2, lens.height, lens.width)
    return across, down


def _border(lens: Intrinsics) -> Points:
    """The centres of the outermost pixels: a picture that does not fold sees nothing farther out than they do."""
    columns, rows = np.arange(lens.width), np.arange(lens.height)
    sides = [(columns, 0 * columns), (columns, 0 * columns + lens.height - 1), (0 * rows, rows), (0 * rows + lens.width - 1, rows)]
    return np.concatenate([np.stack(side, axis=1) for side in sides]).astype(np.float64)


def _rays(camera: CameraModel, pixels: Points) -> Points:
    """Where the rays of pixels [n, 2] meet the plane at distance one; NaN for those that are not found."""
    lens, distortion = camera_matrix(camera), np.array(camera.distortion)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ITERATIONS, _STEP)
    rays = cv2.undistortPointsIter(pixels[:, None], lens, distortion, np.eye(3), np.eye(3), criteria).reshape(-1, 2)
    back, _ = cv2.projectPoints(np.column_stack([rays, np.ones(len(rays))]), np.zeros(3), np.zeros(3), lens, distortion)
    missed = ~(np.abs(back.reshape(-1, 2) - pixels).max(axis=1) < _TOLERANCE)  # so that NaN misses, too
    rays[missed] = np.nan
    return np.asarray(rays, np.float64)

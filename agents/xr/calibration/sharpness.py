"""How blurred a picture of a board is: how many pixels the way from black to white takes.

The width is that of the steepest line with the same contrast, sqrt(2 pi) times the standard deviation of a Gaussian blur.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.xr.calibration.boards import corners_in_row
from agents.xr.calibration.neighbours import Pairs, distances, downward, neighbours, rightward
from agents.xr.calibration.view import Corners, Grey
from schemas.cameras import Board

WIDEST, WIDEST_SHARE = 6.0, 0.2
"""Pixels, and as a share of a square's edge: what is wider is blurred. Sharp pictures have 2 to 3 pixels."""
WIDEST_UNSEEN = 4.0
"""Pixels: where no board is found, this may be why."""
_REACH = {"charuco": 0.12, "chessboard": 0.35}
"""How far to both sides of an edge one looks, as a share of it: a ChArUco board's markers begin at 0.125."""
_SAMPLES = 25
_STEEPEST = 99.9
"""Percentile of a picture's slopes: what noise alone makes is rarer."""


def is_blurred(grey: Grey, corners: Corners, board: Board) -> bool:
    """Whether the edges of the board's squares are, in the direction in which they are more: a moving camera blurs in one."""
    in_row = corners_in_row(board)
    of_rows, of_columns = rightward(corners.numbers, in_row), downward(corners.numbers, in_row)
    reach = _REACH[board.pattern]
    width = max(edge_width(grey, corners, of_rows, reach), edge_width(grey, corners, of_columns, reach))
    edge = float(np.median(distances(corners.points, neighbours(corners.numbers, in_row))))
    return width > min(WIDEST, WIDEST_SHARE * edge)


def edge_width(grey: Grey, corners: Corners, pairs: Pairs, reach: float) -> float:
    """Pixels, the median of the edges between these corners, looked at across their middles, so far to both sides."""
    profiles, step = _profiles(grey, corners, pairs, reach)
    contrast, slope = np.ptp(profiles, axis=1), np.abs(np.diff(profiles, axis=1)).max(axis=1) / step
    return float(np.median(contrast / np.maximum(slope, 1e-6)))


def is_all_blurred(grey: Grey) -> bool:
    """Whether nothing in the picture has a sharp edge, or nothing across one of its axes: then the board is not found for this."""
    slopes = [np.abs(cv2.Sobel(grey, cv2.CV_32F, *axes, scale=1 / 8)) for axes in ((1, 0), (0, 1))]
    steepest = min(float(np.percentile(slope, _STEEPEST)) for slope in slopes)
    dark, bright = np.percentile(grey, (1, 99))
    return bool(bright - dark > WIDEST_UNSEEN * steepest)


def _profiles(grey: Grey, corners: Corners, pairs: Pairs, reach: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Brightness across each edge [m, samples], and how many pixels lie between two samples [m]."""
    ends = corners.points[pairs].astype(np.float64)
    along, length = ends[:, 1] - ends[:, 0], distances(corners.points, pairs)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * reach
    shares = np.linspace(-1, 1, _SAMPLES)
    at = (ends.mean(axis=1)[:, None] + across[:, None] * shares[None, :, None]).astype(np.float32)
    seen = cv2.remap(grey.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.astype(np.float64), 2 * reach * length / (_SAMPLES - 1)

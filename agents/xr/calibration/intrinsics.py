"""A camera from what it saw of a board: focal lengths, centre and distortion, how sure they are, and which views do not fit (Zhang)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.xr.calibration.boards import corner_points
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.view import Sighting
from schemas.cameras import Board, CameraModel
from schemas.engine import Intrinsics

OUTLIER_TIMES, OUTLIER_PIXELS = 3.0, 1.0
"""A view does not fit whose error is so many times the median and more than that."""
MOST_OUTLIERS = 1 / 3
"""Of the views: where more do not fit, the others are no better."""
_PARAMETERS = 9
"""Of those that OpenCV estimates: fx, fy, cx, cy, k1, k2, p1, p2, k3."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A camera, and how well the views fit it: RMS in pixels over all corners, and over those of each view [n].

    `deviations` are standard deviations, of fx, fy, cx, cy in pixels, and of the five of the distortion.
    """

    camera: CameraModel
    rms: float
    deviations: tuple[float, ...]
    errors: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Solved:
    """The camera by the views that are `used` [n]; `errors` [n] are of all views, of the others as they were when they were left out."""

    fit: Fit
    errors: NDArray[np.float64]
    used: NDArray[np.bool_]


def solve(sightings: Sequence[Sighting], board: Board) -> Solved:
    """The camera that saw the board so; views that do not fit are left out, one after the other. Raises BadViews. Takes seconds."""
    used, errors = np.ones(len(sightings), np.bool_), np.zeros(len(sightings))
    fewest_used = len(sightings) - int(len(sightings) * MOST_OUTLIERS)
    while True:
        found = fit([sighting for sighting, is_used in zip(sightings, used, strict=True) if is_used], board)
        errors[used] = found.errors
        worst = int(np.argmax(np.where(used, errors, -1)))
        if errors[worst] <= max(OUTLIER_TIMES * np.median(found.errors), OUTLIER_PIXELS) or used.sum() <= fewest_used:
            return Solved(found, errors, used)
        used[worst] = False


def fit(sightings: Sequence[Sighting], board: Board) -> Fit:
    """The camera that fits all views best, whether they fit together or not. Raises BadViews."""
    known = corner_points(board)
    try:
        rms, matrix, distortion, _, _, deviations, _, errors = cv2.calibrateCameraExtended(
            [known[sighting.corners.numbers] for sighting in sightings],
            [sighting.corners.points for sighting in sightings],
            sightings[0].size,
            np.eye(3),
            np.zeros(5),
        )
    except cv2.error as error:
        raise BadViews(f"OpenCV finds no camera: {error.err}", "take other views, tilted to all sides") from error
    known_by = tuple(float(value) for value in deviations.ravel()[:_PARAMETERS])
    return Fit(_model(matrix, distortion, sightings[0].size), float(rms), known_by, np.asarray(errors, np.float64).ravel())


def _model(matrix: cv2.typing.MatLike, distortion: cv2.typing.MatLike, size: tuple[int, int]) -> CameraModel:
    (fx, _, cx), (_, fy, cy), _ = np.asarray(matrix, np.float64).tolist()
    k1, k2, p1, p2, k3 = (float(value) for value in distortion.ravel()[:5])
    return CameraModel(
        intrinsics=Intrinsics(width=size[0], height=size[1], fx=fx, fy=fy, cx=cx, cy=cy),
        distortion=(k1, k2, p1, p2, k3),
    )

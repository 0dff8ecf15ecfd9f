"""Where a camera sits on its tracker: hand-eye calibration by each of OpenCV's methods, and the one that fits best.

The camera sees a board that stays where it is, and the tracker is known at each view. A method is judged by how far apart the places are
that it gives the board in the tracker's world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from agents.parts.frames import Quaternion, normalised
from agents.parts.rigid import Rigid, angle_between, conjugate, product, rotation_vector
from agents.xr.calibration.boards import extent, is_ambiguous
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.optical import matrix_of, orientation_of
from schemas.cameras import Board, Mount

METHODS = {
    "Tsai": cv2.CALIB_HAND_EYE_TSAI,
    "Park": cv2.CALIB_HAND_EYE_PARK,
    "Horaud": cv2.CALIB_HAND_EYE_HORAUD,
    "Andreff": cv2.CALIB_HAND_EYE_ANDREFF,
    "Daniilidis": cv2.CALIB_HAND_EYE_DANIILIDIS,
}
FEWEST = 4
"""Views. Three are enough for the mathematics, and then nothing is left over to judge it by."""
LEAST_TURN = math.radians(8)
"""RMS of the tracker's turns about the second of their axes: about one alone, the mount is not known along it (Tsai and Lenz 1989)."""
MOST_APART = 0.05
"""Metres RMS: where a board that lies still seems to move by more, the poses are not those of the pictures."""


class Pair(Struct, frozen=True):
    """A view: the tracker in its world, and the board in the camera's frame."""

    tracker: Rigid
    board: Rigid


def find_mount(pairs: Sequence[Pair], board: Board) -> Mount:
    """The mount of the smallest residual. Raises BadViews."""
    _check(pairs, board)
    radius = math.hypot(*extent(board)) / 2
    mounts = [mount for name, method in METHODS.items() if (mount := _by(name, method, pairs)) is not None]
    if not mounts:
        raise BadViews(f"none of {', '.join(METHODS)} finds a mount", "turn the camera about more axes between the views")
    best = min(mounts, key=lambda mount: math.hypot(mount.translation_residual, radius * mount.rotation_residual))
    if best.translation_residual > MOST_APART:
        raise BadViews(
            f"by the tracker's poses the board, which lies still, moves by {best.translation_residual * 1000:.0f} mm",
            "hold the camera still at each view, do not move the board, and check that the poses are of the same moments as the pictures",
        )
    return best


def residuals(mount: Rigid, pairs: Sequence[Pair]) -> tuple[float, float]:
    """How far the places of the board are from their middle, RMS: metres and radians."""
    places = [pair.tracker.then(mount).then(pair.board) for pair in pairs]
    positions = np.array([place.position for place in places])
    middle = _mean([place.orientation for place in places])
    angles = np.array([angle_between(middle, place.orientation) for place in places])
    apart = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    return float(np.sqrt(np.mean(apart**2))), float(np.sqrt(np.mean(angles**2)))


def _check(pairs: Sequence[Pair], board: Board) -> None:
    if is_ambiguous(board):
        raise BadViews(
            f"a chessboard of {board.columns}x{board.rows} inner corners looks alike from both ends: where it is turned to is not known",
            "take a ChArUco board, or a chessboard with an even number of columns and an odd one of rows",
        )
    if len(pairs) < FEWEST:
        raise BadViews(f"the tracker's pose is known at {len(pairs)} good views: want {FEWEST} at least", "take views while it is tracked")
    turn = math.degrees(_second_turn(pairs))
    if turn < math.degrees(LEAST_TURN):
        raise BadViews(
            f"the tracker turned about one axis only: about a second one by {turn:.1f} degrees RMS, want {math.degrees(LEAST_TURN):.0f}",
            "tilt the camera forwards and sideways, and roll it, between the views",
        )


def _second_turn(pairs: Sequence[Pair]) -> float:
    """How far the tracker turned about the second most of its axes, RMS in radians, from the middle of its orientations."""
    middle = _mean([pair.tracker.orientation for pair in pairs])
    turns = np.array([rotation_vector(product(conjugate(middle), pair.tracker.orientation)) for pair in pairs])
    return float(np.linalg.svd(turns, compute_uv=False)[1] / math.sqrt(len(pairs)))


def _by(name: str, method: int, pairs: Sequence[Pair]) -> Mount | None:
    """The mount by one method; None: it finds none."""
    trackers, boards = [pair.tracker for pair in pairs], [pair.board for pair in pairs]
    try:
        rotation, translation = cv2.calibrateHandEye(*_parts(trackers), *_parts(boards), method=method)
    except cv2.error:
        return None
    if not (np.isfinite(rotation).all() and np.isfinite(translation).all()):
        return None
    x, y, z = (float(value) for value in np.ravel(translation))
    mount = Rigid((x, y, z), orientation_of(np.asarray(rotation, np.float64)))
    apart, turned = residuals(mount, pairs)
    return Mount(
        position=mount.position,
        orientation=mount.orientation,
        method=name,
        translation_residual=apart,
        rotation_residual=turned,
        views=len(pairs),
    )


def _parts(places: Sequence[Rigid]) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Rotations and translations, as OpenCV takes them."""
    return [matrix_of(place.orientation) for place in places], [np.array(place.position) for place in places]


def _mean(orientations: Sequence[Quaternion]) -> Quaternion:
    """The middle of some that are not far apart: q and -q are the same rotation, so all are taken on the side of the first."""
    numbers = np.array(orientations)
    sides = np.where(numbers @ numbers[0] < 0, -1.0, 1.0)
    x, y, z, w = (float(value) for value in (numbers * sides[:, None]).sum(axis=0))
    return normalised((x, y, z, w))

"""Pictures of calibration boards, computed from OpenCV's own pattern and a camera that is known: blurred, noisy, bent by a lens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.parts.rigid import Rigid
from agents.xr.calibration.boards import charuco, corner_points, middle
from agents.xr.calibration.optical import matrix_of
from agents.xr.calibration.poses import camera_matrix
from agents.xr.calibration.tour import tour
from agents.xr.calibration.view import Sighting, View
from schemas.cameras import Board, CameraModel
from schemas.engine import Intrinsics

WIDTH, HEIGHT = 960, 600
LENS = Intrinsics(width=WIDTH, height=HEIGHT, fx=800.0, fy=800.0, cx=(WIDTH - 1) / 2, cy=(HEIGHT - 1) / 2)
IDEAL = CameraModel(intrinsics=LENS)
CHARUCO = Board()
CHESSBOARD = Board(pattern="chessboard", columns=9, rows=6, square=0.03)
PER_METRE, MARGIN = 4000, 0.02
"""Pixels of the pattern, and metres of white around it."""
SMOOTH = 3
"""Each pixel is the mean of so many by so many."""

Pixels = NDArray[np.uint8]
HALF_TURN = np.diag([1.0, -1.0, -1.0])
"""From the bus's camera to OpenCV's."""
LAID = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""From OpenCV's board to the one that lies on its back."""


def places(board: Board, count: int, lens: Intrinsics = LENS) -> list[Rigid]:
    """The camera's poses around a board that lies at the origin."""
    return list(tour(board, Rigid(), lens, count))


def pictures(board: Board, poses: Iterable[Rigid], blur: float = 0.6, noise: float = 2.0, mounted: Rigid | None = None) -> list[View]:
    """What a camera sees from each pose; with a mount, the views know where its tracker was."""
    return [
        View(f"view {number}", picture(board, pose, blur, noise), None if mounted is None else pose.then(mounted.inverse()))
        for number, pose in enumerate(poses, 1)
    ]


def picture(board: Board, pose: Rigid, blur: float = 0.6, noise: float = 2.0) -> Pixels:
    """`blur` is the standard deviation of a Gaussian in pixels, `noise` that of the brightness, of 255."""
    many = np.array([[SMOOTH, 0, (SMOOTH - 1) / 2], [0, SMOOTH, (SMOOTH - 1) / 2], [0, 0, 1.0]])
    onto = many @ _seen_from(board, pose) @ _of_pattern(board)
    size = (WIDTH * SMOOTH, HEIGHT * SMOOTH)
    large = cv2.warpPerspective(_pattern(board), onto, size, flags=cv2.INTER_LINEAR, borderValue=110.0)
    seen = cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) * 0.8 + 20
    soft = cv2.GaussianBlur(seen, (0, 0), blur) if blur else seen
    noisy = soft + np.random.default_rng(7).normal(0, noise, soft.shape)
    return cv2.cvtColor(np.clip(noisy, 0, 255).round().astype(np.uint8), cv2.COLOR_GRAY2BGR)


def bent(straight: Pixels, model: CameraModel) -> Pixels:
    """A picture of LENS as a lens with distortion shows it."""
    at = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).reshape(-1, 1, 2).astype(np.float32)
    from_straight = cv2.undistortPoints(at, camera_matrix(model), np.array(model.distortion), P=camera_matrix(IDEAL))
    where = from_straight.reshape(HEIGHT, WIDTH, 2)
    return cv2.remap(straight, where[..., 0], where[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def true_corners(board: Board, pose: Rigid) -> NDArray[np.float64]:
    """Where the corners are in LENS's picture [n, 2]."""
    flat = corner_points(board)[:, :2].astype(np.float64)
    return cv2.perspectiveTransform(flat[None], _seen_from(board, pose))[0]


def off_truth(sighting: Sighting, board: Board, pose: Rigid) -> NDArray[np.float64]:
    """Pixels from each corner to where it is [n]."""
    return np.linalg.norm(sighting.corners.points - true_corners(board, pose)[sighting.corners.numbers], axis=1)


async def one_by_one(views: Iterable[View]) -> AsyncIterator[View]:
    for view in views:
        yield view


def _seen_from(board: Board, pose: Rigid) -> NDArray[np.float64]:
    """From the board's plane, in metres as OpenCV has it, to pixels."""
    to_camera = HALF_TURN @ matrix_of(pose.inverse().orientation)
    away = HALF_TURN @ np.array(pose.inverse().position)
    across, down = middle(board)
    corner = to_camera @ np.array([-across, 0.0, -down]) + away
    turned = to_camera @ LAID
    return camera_matrix(IDEAL) @ np.column_stack([turned[:, 0], turned[:, 1], corner])


def _of_pattern(board: Board) -> NDArray[np.float64]:
    """From the pattern's pixels to metres: a chessboard's origin is its first inner corner."""
    origin = MARGIN + (board.square if board.pattern == "chessboard" else 0.0)
    return np.array([[1 / PER_METRE, 0, 0.5 / PER_METRE - origin], [0, 1 / PER_METRE, 0.5 / PER_METRE - origin], [0, 0, 1]])


@cache
def _pattern(board: Board) -> Pixels:
    edge, square = round(MARGIN * PER_METRE), round(board.square * PER_METRE)
    if board.pattern == "charuco":
        drawn = charuco(board).generateImage((board.columns * square, board.rows * square), marginSize=0)
    else:
        squares = np.indices((board.rows + 1, board.columns + 1)).sum(axis=0) % 2
        drawn = np.kron(squares, np.full((square, square), 255)).astype(np.uint8)
    return np.asarray(cv2.copyMakeBorder(drawn, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=255.0), np.uint8)

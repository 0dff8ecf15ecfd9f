"""Where to take pictures of a board from: tilted to all sides, near and far, the board all over the picture. The same each time."""

from __future__ import annotations

import math
from collections.abc import Iterator

from agents.parts.frames import Vector
from agents.parts.rigid import Rigid, turned_by
from agents.xr.calibration.boards import extent
from schemas.cameras import Board
from schemas.engine import Intrinsics

TILTS = tuple(map(math.radians, (8.0, 25.0, 35.0, 45.0)))
"""Of the camera's axis from the board's: at more than 45 degrees the squares get too narrow."""
SHARES = (1.0, 0.8, 0.6)
"""Of the picture's width or height, whichever is fuller, that the board takes when seen straight: near, a corner's error counts less."""
PLACES = ((0.0, 0.0), (-1.0, -1.0), (1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (0.0, 1.0), (0.0, -1.0), (-1.0, 0.0), (1.0, 0.0))
"""Where the board is in the picture, from its middle (0) to where its edge would be at the picture's (1)."""
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
"""Its multiples go round evenly and never repeat."""
_ROLLS = (0.0, 0.5, -0.5)
"""Radians about the camera's own axis."""
_INSIDE = 0.95
"""Of the picture: so far from its middle a corner of the board may be."""
_NEARER = 0.8
"""How much nearer to the middle the board is brought where it would not be in the picture."""
_STEP = 0.05
"""Of the board, by which the camera goes back."""
_MOST_STEPS = 40
"""That it goes back: no board needs more than half of them."""


def tour(board: Board, place: Rigid, lens: Intrinsics, count: int) -> Iterator[Rigid]:
    """Poses of a camera with this lens around a board at `place`, in the bus's frames (see agents.xr.calibration.optical)."""
    for number in range(count):
        yield place.then(_pose(board, lens, number))


def _pose(board: Board, lens: Intrinsics, number: int) -> Rigid:
    """The camera in the frame of the board, which lies on its back: before its middle, then turned until it is elsewhere in the picture."""
    tilt, azimuth = TILTS[number % len(TILTS)], number * _GOLDEN_ANGLE
    straight = Rigid(orientation=turned_by((-math.pi / 2, 0.0, 0.0)))  # looks down, its top towards the board's
    around = Rigid(orientation=turned_by((-tilt * math.cos(azimuth), 0.0, tilt * math.sin(azimuth))))
    away = Rigid((0.0, 0.0, _distance(board, lens, SHARES[number % len(SHARES)])))
    rolled = Rigid(orientation=turned_by((0.0, 0.0, _ROLLS[number // len(TILTS) % len(_ROLLS)])))
    ahead = _backwards(around.then(straight).then(away).then(rolled), board, lens)
    return _aside(ahead, board, lens, PLACES[number % len(PLACES)])


def _distance(board: Board, lens: Intrinsics, share: float) -> float:
    """From where the board, seen straight, takes this share of the picture."""
    width, height = extent(board)
    return max(width * lens.fx / lens.width, height * lens.fy / lens.height) / share


def _backwards(pose: Rigid, board: Board, lens: Intrinsics) -> Rigid:
    """The pose, moved back until the whole board is seen: a tilted one has a near side, which looks larger."""
    back = Rigid((0.0, 0.0, _STEP * max(extent(board))))
    for _ in range(_MOST_STEPS):
        if _is_seen(pose, board, lens):
            break
        pose = pose.then(back)
    return pose


def _aside(pose: Rigid, board: Board, lens: Intrinsics, place: tuple[float, float]) -> Rigid:
    """The pose turned so that the board is seen there in the picture, or as near to there as all of it is seen."""
    across, down = (at * size / (2 * focal) for at, size, focal in ((place[0], lens.width, lens.fx), (place[1], lens.height, lens.fy)))
    while max(abs(across), abs(down)) > 0.01:
        turned = pose.then(Rigid(orientation=turned_by((math.atan(down), math.atan(across), 0.0))))
        if _is_seen(turned, board, lens):
            return turned
        across, down = across * _NEARER, down * _NEARER
    return pose


def _is_seen(pose: Rigid, board: Board, lens: Intrinsics) -> bool:
    """Whether the whole board is in the picture."""
    return all(_is_inside(pose.inverse().apply(corner), lens) for corner in _outline(board))


def _is_inside(point: Vector, lens: Intrinsics) -> bool:
    x, y, z = point
    return z < 0 and abs(x / z) * lens.fx < _INSIDE * lens.width / 2 and abs(y / z) * lens.fy < _INSIDE * lens.height / 2


def _outline(board: Board) -> list[Vector]:
    """The board's four corners in its own frame."""
    width, height = extent(board)
    return [(side * width / 2, 0.0, end * height / 2) for side in (-1, 1) for end in (-1, 1)]

"""Which corners of a board are next to each other: between them runs an edge, black on one side and white on the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.xr.calibration.view import Points

Pairs = NDArray[np.intp]
"""[m, 2] indices of corners; the second one is right of the first, or below it, on the board."""


def neighbours(numbers: NDArray[np.int32], in_row: int) -> Pairs:
    """Of those corners of a board, with so many in a row, that are seen."""
    return np.concatenate([rightward(numbers, in_row), downward(numbers, in_row)])


def rightward(numbers: NDArray[np.int32], in_row: int) -> Pairs:
    """Pairs within a row."""
    pairs = _pairs(numbers, 1)
    chosen: Pairs = pairs[numbers[pairs[:, 0]] % in_row != in_row - 1]
    return chosen


def downward(numbers: NDArray[np.int32], in_row: int) -> Pairs:
    """Pairs within a column."""
    return _pairs(numbers, in_row)


def distances(points: Points, pairs: Pairs) -> NDArray[np.float64]:
    """Pixels from one corner of each pair to the other [m]."""
    return np.asarray(np.linalg.norm(points[pairs[:, 1]].astype(np.float64) - points[pairs[:, 0]], axis=1), np.float64)


def _pairs(numbers: NDArray[np.int32], step: int) -> Pairs:
    place = {int(number): index for index, number in enumerate(numbers)}
    found = [(index, place[number + step]) for number, index in place.items() if number + step in place]
    return np.array(found, np.intp).reshape(-1, 2)

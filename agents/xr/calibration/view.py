"""A view: one picture of the board, and what is found in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.parts.rigid import Rigid
from agents.xr.cameras.pixels import Pixels

Grey = NDArray[np.uint8]
"""[height, width]."""
Points = NDArray[np.float32]
"""[n, 2] in pixels; the centre of the first pixel is (0, 0)."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture, and where the tracker was when it was taken, in its own world and the bus's frame; None: nobody knows."""

    name: str
    picture: Pixels
    tracker: Rigid | None = None


@dataclass(frozen=True, slots=True)
class Corners:
    """Corners of a board: `numbers` [n] are theirs on the board, row by row from its upper left, and `points` where they are seen."""

    numbers: NDArray[np.int32]
    points: Points


@dataclass(frozen=True, slots=True)
class Sighting:
    """A view in which enough of the board is seen, sharply. `size` is the picture's width and height in pixels."""

    name: str
    size: tuple[int, int]
    corners: Corners
    tracker: Rigid | None = None

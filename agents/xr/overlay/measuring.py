"""How far the overlay is off, from pixels alone: the layer shows a twin of the board, drawn where the board is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.xr.calibration.detection import find_corners
from agents.xr.cameras.pixels import Pixels
from schemas.cameras import Board

TWIN = Board()
"""The board of the engine's scenes, and of a person who has printed it: the layer shows it a second time."""
FEWEST = 6
"""Corners, below which an error says little."""
_BACKDROP = 128
"""Grey beneath the twin, as light as neither of its colours."""

Corners = NDArray[np.float64]
"""[n, 2], in pixels."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The board's corners of these numbers, by OpenCV's count, in the camera's picture, and those of its drawn twin."""

    numbers: list[int]
    seen: Corners
    drawn: Corners

    @property
    def error(self) -> float:
        """How far they are apart, RMS in pixels."""
        return math.sqrt(float(((self.drawn - self.seen) ** 2).sum(axis=1).mean()))


def measured(picture: Pixels, seen: Pixels) -> Measured | None:
    """Look for the board in a camera's picture and in the layer over it, which is as `seen_through` gives it.

    None: fewer than FEWEST corners are in both.
    """
    camera, twin = _corners(picture), _corners(_on_grey(seen))
    both = sorted(camera.keys() & twin.keys())
    if len(both) < FEWEST:
        return None
    return Measured(both, np.array([camera[number] for number in both]), np.array([twin[number] for number in both]))


def _corners(picture: Pixels) -> dict[int, Corners]:
    """By number."""
    found = find_corners(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8), TWIN)
    if found is None:
        return {}
    return {int(number): at for number, at in zip(found.numbers, found.points.astype(np.float64), strict=True)}


def _on_grey(seen: Pixels) -> Pixels:
    """Its colours are multiplied by its alpha already."""
    through = cv2.convertScaleAbs(seen[..., 3], alpha=-_BACKDROP / 255, beta=_BACKDROP)
    return np.asarray(cv2.add(seen[..., :3], cv2.cvtColor(through, cv2.COLOR_GRAY2BGR)), np.uint8)

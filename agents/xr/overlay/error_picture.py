"""overlay.png: a composed picture on which one sees how far the overlay is off, and in which direction."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from agents.parts.links import keep
from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay.composer import Composed
from agents.xr.overlay.measuring import Measured
from bus.log.disk import make_folder, replace_file
from schemas import system

FILE = Path("wondercraft", "xr_overlay", "overlay.png")
"""Below `artifacts/`."""
EXAGGERATED = 30
"""How many times as long as it is an error is drawn: at one pixel nobody would see it."""
_LEAST_WIDTH = 1280
"""Smaller pictures are enlarged, or the marks would hide what they mark."""
_RADIUS, _BAR = 7, 44
_SEEN, _ERROR, _TEXT = (0, 255, 255), (40, 40, 255), (255, 255, 255)
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.6


def save(composed: Composed, artifacts: Path) -> system.Artifact:
    """Draw and keep it, and say what it is. Takes a tenth of a second: off the event loop. Raises OSError."""
    done, data = cv2.imencode(".png", drawn_error(composed))
    if not done:
        raise OSError("OpenCV makes no PNG of the overlay")
    file = artifacts / FILE
    make_folder(file.parent)
    replace_file(file, data.tobytes())
    return keep(artifacts, file, "xr-overlay")


def drawn_error(composed: Composed) -> Pixels:
    """The picture with a mark at each of the board's corners, a line from it that is EXAGGERATED times the error, and words below."""
    factor = max(1, -(-_LEAST_WIDTH // composed.pixels.shape[1]))
    large = cv2.resize(composed.pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    if composed.measured is not None:
        _mark(large, composed.measured, factor)
    below = np.zeros((_BAR, large.shape[1], 3), np.uint8)
    cv2.putText(below, _caption(composed), (12, 28), _FONT, _SIZE, _TEXT, 1, cv2.LINE_AA)
    return np.asarray(np.concatenate([large, below]), np.uint8)


def _mark(large: cv2.typing.MatLike, measured: Measured, factor: int) -> None:
    middle = (factor - 1) / 2  # the first pixel's centre is at (0, 0), before and after it is enlarged
    for seen, drawn in zip(measured.seen, measured.drawn, strict=True):
        start, end = (np.rint(factor * at + middle).astype(int).tolist() for at in (seen, seen + EXAGGERATED * (drawn - seen)))
        cv2.circle(large, start, _RADIUS, _SEEN, 1, cv2.LINE_AA)
        cv2.line(large, start, end, _ERROR, 2, cv2.LINE_AA)


def _caption(composed: Composed) -> str:
    said = composed.overlaid
    if said.error is None:
        return f"{said.camera}, {said.kind} poses; error not measured: too little of the board is seen"
    return f"{said.camera}, {said.kind} poses; error {said.error:.2f} px RMS over {said.corners} corners, drawn {EXAGGERATED} times as long"

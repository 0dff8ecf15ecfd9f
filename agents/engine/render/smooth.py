"""Pictures with smooth edges, which neither renderer draws: drawn larger than wanted, and averaged."""

from __future__ import annotations

import cv2
import numpy as np

from agents.engine.render.canvas import Pixels


def averaged(pixels: Pixels, width: int, height: int) -> Pixels:
    """A picture that was drawn larger, in this size."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def straight(pixels: Pixels) -> Pixels:
    """A layer that was averaged with the nothing around it, its colours as if there were none: alpha says how much there is."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_mRGBA2RGBA), np.uint8)  # which treats all three colours alike

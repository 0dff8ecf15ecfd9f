"""Lays a drawn layer over a camera's picture, as the camera's lens would show it."""

from __future__ import annotations

import cv2
import numpy as np

from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay.lens import Map


def seen_through(layer: Pixels, maps: tuple[Map, Map]) -> Pixels:
    """The layer in the camera's pixels, its colours multiplied by its alpha: else what lies beside an edge would colour it."""
    premultiplied = cv2.cvtColor(layer, cv2.COLOR_RGBA2mRGBA)  # which treats all three colours alike
    seen = cv2.remap(premultiplied, *maps, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0))
    return np.asarray(seen, np.uint8)


def laid_over(picture: Pixels, seen: Pixels, alpha: float) -> Pixels:
    """The camera's picture with a layer over it, as `seen_through` gives it: where that is opaque it covers `alpha` of the picture.

    Source: "over" of Porter and Duff, Compositing Digital Images (1984).
    """
    left = cv2.convertScaleAbs(seen[..., 3], alpha=-alpha, beta=255)
    under = cv2.multiply(picture, cv2.cvtColor(left, cv2.COLOR_GRAY2BGR), scale=1 / 255)
    return np.asarray(cv2.addWeighted(under, 1, cv2.cvtColor(seen, cv2.COLOR_BGRA2BGR), alpha, 0), np.uint8)

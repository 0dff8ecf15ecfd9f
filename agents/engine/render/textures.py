"""Pictures of materials, decoded with suspicion and made such that Panda3D's rasterizer takes them: PNG, powers of two wide and high."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.engine.scenes.errors import BadScene
from agents.parts.picture_size import size_of

MAX_PIXELS = 8192 * 8192
"""Of a picture that is decoded."""
MAX_EDGE = 2048
"""Of one that is drawn: a larger one is made smaller."""

Pixels = NDArray[Any]  # Any: 8 or 16 bits


def fitting(data: bytes, where: str) -> bytes:
    """The picture in a PNG or JPEG file, as a PNG of 8 bits whose edges are powers of two. Raises BadScene."""
    width, height = size_of(data) or (0, 0)
    if not 0 < width * height <= MAX_PIXELS:
        raise BadScene(where, f"it is no PNG or JPEG of up to {MAX_PIXELS} pixels (it says {width} x {height})")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise BadScene(where, f"the picture cannot be decoded: {error.err}") from error
    if pixels is None:
        raise BadScene(where, "the picture cannot be decoded")
    return _encoded(_resized(_eight_bits(pixels)))


def _eight_bits(pixels: Pixels) -> Pixels:
    return pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)


def _resized(pixels: Pixels) -> Pixels:
    """The next smaller powers of two: a picture on a surface may be stretched, for the surface stretches it back."""
    height, width = (min(1 << (edge.bit_length() - 1), MAX_EDGE) for edge in pixels.shape[:2])
    if (height, width) == pixels.shape[:2]:
        return pixels
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def _encoded(pixels: Pixels) -> bytes:
    done, png = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise MemoryError(f"a picture of shape {pixels.shape} cannot be encoded")
    return png.tobytes()

"""Pictures of materials, decoded with suspicion and made such that Panda3D's rasterizer takes them: PNG, powers of two wide and high."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agents.engine.scenes.errors import BadScene

MAX_PIXELS = 8192 * 8192
"""Of a picture that is decoded."""
MAX_EDGE = 2048
"""Of one that is drawn: a larger one is made smaller."""

Pixels = NDArray[Any]  # Any: 8 or 16 bits

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that a picture's size follows (ITU-T T.81, table B.1)."""
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
"""Those that no length follows (the same table), and the byte that is no marker, which decoders pass over."""


def fitting(data: bytes, where: str) -> bytes:
    """The picture in a PNG or JPEG file, as a PNG of 8 bits whose edges are powers of two. Raises BadScene."""
    width, height = _size(data) or (0, 0)
    if not 0 < width * height <= MAX_PIXELS:
        raise BadScene(where, f"it is no PNG or JPEG of up to {MAX_PIXELS} pixels (it says {width} x {height})")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise BadScene(where, f"the picture cannot be decoded: {error.err}") from error
    if pixels is None:
        raise BadScene(where, "the picture cannot be decoded")
    return _encoded(_resized(_eight_bits(pixels)))


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a file says it has; None: it is neither PNG nor JPEG."""
    if data.startswith(_PNG) and len(data) >= 24:  # its first chunk is IHDR (PNG specification, section 11.2.1)
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From segment to segment up to the frame's (ITU-T T.81, section B.2.2)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 1 if marker == 0xFF else 2 if marker in _ALONE else 2 + length  # a marker may have bytes 0xFF before it
    return None


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

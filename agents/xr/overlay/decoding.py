"""Pictures of the engine, decoded with suspicion: as large as they are said to be, and no larger than what is composed."""

from __future__ import annotations

import cv2
import numpy as np

from agents.parts.picture_size import size_of
from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay.matching import Drawn

MOST_PIXELS = 4096 * 2160
MOST_BYTES = 64 << 20


class BadPicture(ValueError):
    """A picture that cannot be composed; the message says whose, and why."""


def colours(drawn: Drawn) -> Pixels:
    """A camera's picture, without alpha. Raises BadPicture."""
    return _decoded(drawn, cv2.IMREAD_COLOR, channels=3)


def layer(drawn: Drawn) -> Pixels:
    """A layer, with alpha. Raises BadPicture."""
    return _decoded(drawn, cv2.IMREAD_UNCHANGED, channels=4)


def _decoded(drawn: Drawn, how: int, channels: int) -> Pixels:
    _check_size(drawn)
    try:
        pixels = cv2.imdecode(np.frombuffer(drawn.data, np.uint8), how)
    except cv2.error as error:
        raise _bad(drawn, f"cannot be decoded: {error.err}") from error
    if pixels is None:
        raise _bad(drawn, "cannot be decoded")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != channels:
        raise _bad(drawn, f"is {pixels.dtype} of shape {pixels.shape}: want {channels} channels of 8 bits")
    return np.asarray(pixels, np.uint8)


def _check_size(drawn: Drawn) -> None:
    """By what the file says before it is decoded."""
    if len(drawn.data) > MOST_BYTES:
        raise _bad(drawn, f"has {len(drawn.data)} bytes: want {MOST_BYTES} at most")
    lens, size = drawn.picture.intrinsics, size_of(drawn.data)
    if size is None:
        raise _bad(drawn, f"is neither PNG nor JPEG: it begins with {drawn.data[:8]!r}")
    if size != (lens.width, lens.height):
        raise _bad(drawn, f"has {size[0]}x{size[1]} pixels, and its event says {lens.width}x{lens.height}")
    if not 0 < size[0] * size[1] <= MOST_PIXELS:
        raise _bad(drawn, f"has {size[0]}x{size[1]} pixels: want {MOST_PIXELS} in all at most")


def _bad(drawn: Drawn, why: str) -> BadPicture:
    return BadPicture(f"the engine's picture of {drawn.picture.camera!r} {why}")

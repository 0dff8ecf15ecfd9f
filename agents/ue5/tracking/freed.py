"""FreeD's D1 message: a camera's pose in 29 bytes.

Format: Vinten's free-d Installation Manual 1.4.4, section A.3.2 and appendix B. Type 0xD1, camera, pan, tilt and roll (signed, 1/32768
degree), X, Y and height (signed, 1/64 mm), zoom and focus (unsigned counts of the lens's encoders), 16 bits to spare, and a checksum: 0x40
minus all bytes before it, modulo 256. Numbers are big-endian, of 24 bits. Axes and angles are those of stage.py.

FreeD has no field of view, and here are no encoders: zoom and focus are sent as 0.
"""

from __future__ import annotations

from agents.parts.tracking.errors import OutOfRange
from agents.parts.tracking.stage import to_stage
from schemas.scene import CameraPose

CAMERAS = 255
"""The largest number of a camera."""

_TYPE = 0xD1
_PER_DEGREE = 32768
_PER_METRE = 64_000
_COUNTS = range(-(1 << 23), 1 << 23)
"""That 24 bits can say."""


def encode(pose: CameraPose, camera: int) -> bytes:
    """The message of camera number `camera`. Raises OutOfRange beyond 131 m, and for a number over 255."""
    if not 0 <= camera <= CAMERAS:
        raise OutOfRange(f"camera number {camera}: FreeD counts from 0 to {CAMERAS}")
    staged = to_stage(pose)
    angles = b"".join(_angle(angle) for angle in (staged.pan, staged.tilt, staged.roll))
    places = b"".join(_place(metres) for metres in staged.position)
    body = bytes((_TYPE, camera)) + angles + places + bytes(8)
    return body + bytes((checksum(body),))


def checksum(body: bytes) -> int:
    """Of all bytes before it."""
    return (0x40 - sum(body)) % 256


def _angle(degrees: float) -> bytes:
    return round(degrees * _PER_DEGREE).to_bytes(3, "big", signed=True)


def _place(metres: float) -> bytes:
    counted = round(metres * _PER_METRE)
    if counted not in _COUNTS:
        raise OutOfRange(f"{metres:.6g} m along an axis: FreeD reaches {_COUNTS[-1] / _PER_METRE:.3f} m")
    return counted.to_bytes(3, "big", signed=True)

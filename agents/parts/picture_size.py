"""How large a picture is by its file's own word: looked at before it is decoded, which may take memory without end."""

from __future__ import annotations

import struct

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that a picture's size follows (ITU-T T.81, table B.1)."""
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
"""Those that no length follows (the same table), and the byte that is no marker, which decoders pass over."""


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None: it is neither PNG nor JPEG."""
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

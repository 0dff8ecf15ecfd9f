"""Waits for the picture that an engine writes some frames after it was asked to."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agents.parts.bounded import Unreadable, read_bounded

SECONDS = 20.0
"""That an engine gets: a high-resolution shot of Unreal compiles shaders first."""
POLL = 0.05
MOST_BYTES = 256 << 20
_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_TAIL = b"\x00\x00\x00\x00IEND\xaeB`\x82"
"""Source: PNG specification (ISO/IEC 15948), sections 5.2 and 11.2."""


class NoPicture(RuntimeError):
    """The file did not come, or not to its end."""


class BadPicture(RuntimeError):
    """The file is no PNG, or larger than what is read."""


async def whole_picture(file: Path, seconds: float = SECONDS) -> bytes:
    """The PNG, once its writer has come to the end of it. Raises NoPicture, BadPicture."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _is_complete(file):
            return await asyncio.to_thread(_read, file)
        await asyncio.sleep(POLL)
    raise NoPicture(f"no whole PNG at {file} in {seconds:g} s: does the engine run on this machine, and may it write there?")


def size_of(picture: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises BadPicture."""
    if not picture.startswith(_HEAD) or len(picture) < len(_HEAD) + 8:
        raise _no_png(picture)
    return int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])


def _is_complete(file: Path) -> bool:
    """Whether the end is there. Raises BadPicture as soon as the beginning is another than a PNG's."""
    try:
        with file.open("rb") as opened:
            if not _HEAD.startswith(head := opened.read(len(_HEAD))):
                raise _no_png(head)
            opened.seek(-len(_TAIL), 2)
            return opened.read() == _TAIL
    except OSError:  # not there yet, or shorter than that
        return False


def _no_png(picture: bytes) -> BadPicture:
    return BadPicture(f"the engine wrote what is no PNG: it begins with {picture[:16]!r}")


def _read(file: Path) -> bytes:
    try:
        return read_bounded(file, MOST_BYTES)
    except Unreadable as error:
        raise BadPicture(str(error)) from error

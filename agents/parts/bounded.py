"""Reads files that nobody vouches for: so many bytes at most, and of plain files alone."""

from __future__ import annotations

import stat
from pathlib import Path


class Unreadable(ValueError):
    """A file that is not there, is none, or is larger than what is read; the message says which."""


def read_bounded(path: Path, limit: int) -> bytes:
    """The whole file. Raises Unreadable; a pipe or a device would keep its reader waiting, and is refused."""
    try:
        data = _read(path, limit + 1) if stat.S_ISREG(path.stat().st_mode) else None
    except (OSError, ValueError) as error:  # the latter: its name is none, for it has a NUL or half a character
        raise Unreadable(f"{path.name!r} cannot be read: {error}") from error
    if data is None:
        raise Unreadable(f"{path} is no plain file")
    if len(data) > limit:
        raise Unreadable(f"{path} has more than the {limit} bytes that are read at most")
    return data


def _read(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)

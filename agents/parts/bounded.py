"""Reads files that nobody vouches for: so many bytes at most, and of plain files alone."""

from __future__ import annotations

import stat
from pathlib import Path


class Unreadable(ValueError):
    """A file that is not there, is none, or is larger than what is read; the message says which."""


def read_bounded(path: Path, limit: int) -> bytes:
    """The whole file. Raises Unreadable; a pipe or a device would keep its reader waiting, and is refused."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable(f"{path} is no plain file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Unreadable(f"{path.name} cannot be read: {error}") from error
    if len(data) > limit:
        raise Unreadable(f"{path} has more than the {limit} bytes that are read at most")
    return data

"""A file of JSON lines that only grows, and the one before it: whole lines, each with a time that rises."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from bus.log.disk import sync, write_all

TAIL = 1 << 20
"""Bytes of a line at most: an event takes 64 KiB on the wire, and each of them at most six characters."""


class Written(NamedTuple):
    """A line, and the log time of its event."""

    recorded: int
    data: bytes


class _Place(Struct):
    """What a line is found again by."""

    recorded: int


class LineFile:
    """`path` has the newest lines. Where that has `full` bytes it becomes the older one (`audit.1.jsonl`), in the place of that.

    `mode` are its rights, less the umask's.
    """

    def __init__(self, path: Path, full: int, mode: int) -> None:
        self._newest, self._older = path, path.with_suffix(f".1{path.suffix}")
        self._full, self._mode = full, mode

    def anew(self) -> LineFile:
        """An empty one beside it, which may take its place."""
        other = LineFile(self._newest.with_name(f".new-{self._newest.name}"), self._full, self._mode)
        for path in (other._newest, other._older):
            path.unlink(missing_ok=True)
        return other

    def add(self, data: bytes) -> None:
        """Add whole lines. Raises OSError, and then nothing was added."""
        if not data:
            return
        self._newest.parent.mkdir(parents=True, exist_ok=True)
        if self._newest.exists() and self._newest.stat().st_size + len(data) > self._full:
            self._newest.replace(self._older)
        fd = os.open(self._newest, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
        try:
            _add_at(fd, data, os.fstat(fd).st_size)
        finally:
            os.close(fd)

    def end(self) -> int:
        """The log time of the last line, 0 where there is none. Half a line, which a crash left, is cut off."""
        return _last_time(self._newest) or _last_time(self._older)

    def lines(self) -> Iterator[Written]:
        """Oldest first; what is no line, or stands where it does not belong, is left out."""
        reached = 0
        for path in (self._older, self._newest):
            if path.exists():
                with path.open("rb") as file:
                    for data in file:
                        if data.endswith(b"\n") and (recorded := _time_of(data)) > reached:
                            reached = recorded
                            yield Written(recorded, data)

    def take_place_of(self, others: LineFile) -> None:
        """The older file first: until the newest follows, lines may stand in both, and none is missing."""
        for path, other in ((self._older, others._older), (self._newest, others._newest)):
            if path.exists():
                _sync_file(path)
                path.replace(other)
            else:
                other.unlink(missing_ok=True)


def _add_at(fd: int, data: bytes, end: int) -> None:
    try:
        write_all(fd, data, end)
    except OSError:
        os.ftruncate(fd, end)
        raise


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(fd)
    finally:
        os.close(fd)


def _last_time(path: Path) -> int:
    """The log time of a file's last line, 0 where there is none. Half a line behind it is cut off."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        start = file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
        tail = file.read()
        end = tail.rfind(b"\n") + 1
        if end < len(tail):
            file.truncate(start + end)
    return next((recorded for line in reversed(tail[:end].splitlines()) if (recorded := _time_of(line))), 0)


def _time_of(line: bytes) -> int:
    """0 for what is no line."""
    try:
        return msgspec.json.decode(line, type=_Place).recorded
    except msgspec.DecodeError:
        return 0

"""A folder whose unsynced bytes and names a power loss takes away.

Catches `os.pwrite`, `os.fsync` and `os.fdatasync`: files are real, syncs are only noted. A sync that failed leaves the pages that it was
to write marked as clean, as Linux does, so that a second one says yes without writing them.
"""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from enum import Enum
from pathlib import Path
from stat import S_ISDIR

import pytest

from bus.log import disk as log_disk


class Killed(BaseException):
    """The process dies at this instant: no handler of its own runs."""


class Survives(Enum):
    """What a power loss leaves of bytes that were written and not synced."""

    NOTHING = "nothing"
    A_PART = "a part"
    ZEROS = "zeros"
    A_HOLE = "a hole"
    ALL = "all"


HOLE = 64
"""Bytes of what was not synced that never reached the medium, though bytes behind them did: a page, in proportion to these small logs."""


class Disk:
    """`failures` is how many of the next syncs fail; `kill_at` ("write" or "sync") kills who next does that."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.failures = 0
        self.kill_at: str | None = None
        self._pwrite = os.pwrite
        self._synced: dict[int, bytes] = {}
        self._dirty: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._names: dict[str, int] = {}
        self._kept: dict[int, int] = {}
        patch.setattr(os, "pwrite", self.pwrite)
        patch.setattr(os, "fsync", self.sync)
        patch.setattr(os, "fdatasync", self.sync, raising=False)
        patch.setattr(log_disk, "_FULLFSYNC", None)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        self._die_at("write")
        written = self._pwrite(fd, data, offset)
        inode = os.fstat(fd).st_ino
        self._keep(inode)
        self._dirty[inode].append((offset, offset + written))
        return written

    def sync(self, fd: int) -> None:
        self._die_at("sync")
        status = os.fstat(fd)
        if S_ISDIR(status.st_mode):
            self._fail_if_told()
            self._names = self._named()
            return
        dirty = self._dirty.pop(status.st_ino, [])
        self._fail_if_told()
        self._keep(status.st_ino)
        self._synced[status.st_ino] = self._image(status.st_ino, status.st_size, dirty)

    def lose_power(self, survives: Survives, part: float) -> None:
        """The folder as it is found after the power is back. Nobody has a file of it open."""
        names = self._names if survives is Survives.NOTHING else self._named()
        images = {name: self._found(inode, survives, part) for name, inode in names.items()}
        for path in self.folder.iterdir():
            path.unlink()
        for name, image in images.items():
            (self.folder / name).write_bytes(image)
        self.settle()

    def settle(self) -> None:
        """All that is there is on the medium."""
        self.close()
        self._names = self._named()
        self._synced = {inode: (self.folder / name).read_bytes() for name, inode in self._names.items()}

    def close(self) -> None:
        for fd in self._kept.values():
            os.close(fd)
        self._kept.clear()
        self._dirty.clear()
        self._synced.clear()

    def _die_at(self, point: str) -> None:
        if self.kill_at == point:
            self.kill_at = None
            raise Killed

    def _fail_if_told(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "the medium refuses")

    def _named(self) -> dict[str, int]:
        found = {path.name: path.stat().st_ino for path in self.folder.iterdir()}
        for inode in found.values():
            self._keep(inode)
        return found

    def _keep(self, inode: int) -> None:
        """Hold the file, so that no other one gets its number. Opened anew: a copy of the descriptor would hold its lock too."""
        if inode not in self._kept:
            path = next(path for path in self.folder.iterdir() if path.stat().st_ino == inode)
            self._kept[inode] = os.open(path, os.O_RDONLY)

    def _image(self, inode: int, size: int, dirty: list[tuple[int, int]]) -> bytes:
        """The medium after a sync: what it had, and what was written since. A file that pwrite never wrote goes whole."""
        if inode not in self._synced and not dirty:
            return self._now(inode)
        image = bytearray(self._synced.get(inode, b"")[:size].ljust(size, b"\0"))
        for start, end in dirty:
            image[start:end] = os.pread(self._kept[inode], end - start, start)
        return bytes(image[:size])

    def _found(self, inode: int, survives: Survives, part: float) -> bytes:
        synced, now = self._synced.get(inode, b""), self._now(inode)
        unsynced = len(now) - len(synced)
        if survives is Survives.ALL:
            return now
        if survives is Survives.NOTHING or unsynced <= 0:
            return synced
        if survives is Survives.ZEROS:
            return synced + bytes(unsynced)
        if survives is Survives.A_HOLE:
            hole = len(synced) + int(unsynced * part)
            return now[:hole] + bytes(len(now[hole : hole + HOLE])) + now[hole + HOLE :]
        return synced + now[len(synced) : len(synced) + int(unsynced * part)]

    def _now(self, inode: int) -> bytes:
        return os.pread(self._kept[inode], os.fstat(self._kept[inode]).st_size, 0)

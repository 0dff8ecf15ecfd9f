"""What makes bytes survive a power cut: whole writes, and syncs of files and folders."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

_FULLFSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)  # macOS, whose fsync leaves the drive's cache dirty
_NOT_OFFERED = (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL)


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Writes all of `data` at `offset`, however short the single writes are. Raises OSError."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        offset += written
        rest = rest[written:]


def sync(fd: int) -> None:
    """Returns when the file's bytes and length are on the medium. Raises OSError; a second try after that proves nothing."""
    if _FULLFSYNC is not None:
        _full_fsync(fd, _FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def _full_fsync(fd: int, request: int) -> None:
    try:
        fcntl.fcntl(fd, request)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        os.fsync(fd)  # network and foreign file systems have no F_FULLFSYNC


def sync_folder(folder: Path) -> None:
    """Returns when the folder's names are on the medium: a new file or a rename is not durable before. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it that are missing. When it returns, their names are on the medium. Raises OSError."""
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def read_at(fd: int, offset: int, size: int) -> bytes:
    """Up to `size` bytes at `offset`, fewer only at the end of the file."""
    data = os.pread(fd, size, offset)
    while 0 < len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def replace_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Gives `path` this content, whole or not at all, and returns when it is on the medium. One writer at a time. Raises OSError.

    `mode` are its rights, less the umask's.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # what a crash left has rights of its own
    with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:  # Path.open takes no opener
        file.write(data)
        file.flush()
        sync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)

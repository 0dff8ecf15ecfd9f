"""Files that only this user may read: they are written whole, and not believed where others could have read or changed them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from bus.log.disk import make_folder, replace_file

_OTHERS = 0o077
"""Rights of anybody else."""


class NotPrivate(ValueError):
    """A file or a folder that others may open, or that is not what it should be; the message says what to do."""


def make_private_folder(folder: Path) -> None:
    """Make it, where it is not there. Raises NotPrivate, OSError."""
    make_folder(folder.parent)
    with suppress(FileExistsError):  # whatever is there is looked at next
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotPrivate(f"{folder} is no folder: remove it")
    _check(folder, status)


def read_private(path: Path, limit: int) -> bytes | None:
    """The whole file, None where there is none. Raises NotPrivate, also where it has more than `limit` bytes; OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a link is an error, a pipe is not waited for
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotPrivate(f"{path} cannot be opened ({error.strerror}): remove it") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise NotPrivate(f"{path} is no plain file of at most {limit} bytes: remove it")
        _check(path, status)
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def write_private(path: Path, data: bytes) -> None:
    """Raises OSError."""
    replace_file(path, data, 0o600)


def _check(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.getuid():
        raise NotPrivate(f"{path} belongs to another user: remove it")
    if status.st_mode & _OTHERS:
        raise NotPrivate(f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}): remove it, what was in it is no secret")

"""The files of the cache: written whole or not at all, and cleared of what no index names."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from agents.petals.layers.index import File, Key, file_of
from bus.log.disk import make_folder, sync, sync_folder
from bus.topic import RECIPE_PATTERN

SPARE = 64 << 20
"""Bytes that are left free on the disk."""
_OURS = re.compile(r"\.new-\d{1,4}|\d{1,4}\.safetensors")


def write_layer(cache: Path, key: Key, size: int, blocks: Iterable[bytes], cancelled: threading.Event) -> File | None:
    """Keep a layer's file, of `size` bytes, on the medium when this returns; None where it was cancelled, and nothing is kept.

    Raises OSError, with errno ENOSPC where the disk would be as good as full.
    """
    target = file_of(cache, key)
    make_folder(target.parent)
    if (free := shutil.disk_usage(cache).free) < size + SPARE:
        raise OSError(errno.ENOSPC, f"layer {key[1]} of {key[0]} has {size} bytes, and {free} are free", str(cache))
    new = target.with_name(f".new-{key[1]}")
    try:
        file = _copy(blocks, new, cancelled)
        if file is not None:
            new.replace(target)
            sync_folder(target.parent)
        return file
    finally:
        new.unlink(missing_ok=True)


def tidy(cache: Path, files: Mapping[Key, File]) -> set[Key]:
    """Remove layers that are not among `files`, or not of their size, and what is half written. Returns the layers that are missing.

    What has other names than the cache gives stays. Raises OSError.
    """
    whole = {key for key, file in files.items() if _is_whole(file_of(cache, key), file.size)}
    wanted = {file_of(cache, key) for key in whole}
    for path in _found(cache):
        if path not in wanted:
            path.unlink()
    return files.keys() - whole


def remove(cache: Path, key: Key) -> None:
    """Raises OSError."""
    path = file_of(cache, key)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are there
        path.parent.rmdir()


def _copy(blocks: Iterable[bytes], target: Path, cancelled: threading.Event) -> File | None:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        for block in blocks:
            if cancelled.is_set():
                return None
            digest.update(block)
            size += file.write(block)
        file.flush()
        sync(file.fileno())
    return File(sha256=digest.hexdigest(), size=size)


def _found(cache: Path) -> Iterator[Path]:
    """What is there under names that the cache gives, and links in the place of its folders, which lead out of it."""
    for folder in list(cache.iterdir()):
        if re.match(RECIPE_PATTERN, folder.name):
            if folder.is_symlink():
                yield folder
            elif folder.is_dir():
                yield from [path for path in folder.iterdir() if _OURS.fullmatch(path.name) and not path.is_dir()]


def _is_whole(path: Path, size: int) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size and not path.parent.is_symlink()

"""The artifact store: files under the SHA-256 of their content, written whole or not at all, never changed afterwards."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bus.errors import BusError
from bus.log.disk import make_folder, sync, sync_folder

FOLDER = "store"
"""The store's folder below `artifacts/`."""
_CHUNK = 1 << 20
_HASH = re.compile(r"[0-9a-f]{64}")


Source = Path | bytes | Iterable[bytes | memoryview]
"""What may be kept: a file, bytes, or blocks of them that need not be in memory all at once."""


class NotInStore(BusError):
    """No file of the store has this hash, or the file's bytes do not match it any more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of the store: SHA-256, size in bytes, and path relative to `artifacts/`."""

    hash: str
    size: int
    path: str


class Store:
    """The store below the folder `artifacts`. Safe for several processes at once: equal content makes equal files."""

    def __init__(self, artifacts: Path) -> None:
        self._artifacts = artifacts

    def put(self, source: Source) -> Stored:
        """Copy bytes, blocks of them or a file into the store, synced to disk. What is there already stays, unless it was changed.

        Raises OSError.
        """
        root = self._artifacts / FOLDER
        make_folder(root)
        with _temporary(root) as (file, name):
            digest, size = _copy(source, file)
            stored = Stored(digest, size, path_of(digest))
            target = self._artifacts / stored.path
            make_folder(target.parent)
            if not _holds(target, stored):
                _make_durable(file, name, target)
            sync_folder(target.parent)  # also where another process, which may have died before it did so, gave the file its name
        return stored

    def path(self, digest: str) -> Path:
        """Where the file with this SHA-256 lies. Raises NotInStore."""
        path = self._artifacts / path_of(digest) if _HASH.fullmatch(digest) else None
        if path is None or not path.is_file():
            raise NotInStore(f"nothing in {self._artifacts / FOLDER} has the hash {digest!r}")
        return path

    def read(self, digest: str) -> bytes:
        """The content with this SHA-256, checked against it. Raises NotInStore."""
        data = self.path(digest).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise NotInStore(f"{self.path(digest)} was changed: its bytes no longer have the hash it is named by")
        return data

    def remove(self, digest: str) -> None:
        """Take the file with this SHA-256 out of the store; say so on the bus before, or `bus verify` misses it. Raises NotInStore."""
        self.path(digest).unlink(missing_ok=True)


def path_of(digest: str) -> str:
    """Where a file with this SHA-256 lies, relative to `artifacts/`."""
    return f"{FOLDER}/{digest[:2]}/{digest}"


def _copy(source: Source, target: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for block in _blocks(source):
        digest.update(block)
        target.write(block)
        size += len(block)
    return digest.hexdigest(), size


def _blocks(source: Source) -> Iterator[bytes | memoryview]:
    if isinstance(source, bytes):
        yield source
        return
    if not isinstance(source, Path):
        yield from source
        return
    with source.open("rb") as file:
        while block := file.read(_CHUNK):
            yield block


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A file in `folder` that is gone afterwards, unless it was renamed."""
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _holds(path: Path, stored: Stored) -> bool:
    """Whether the file is there, with the bytes that its name says."""
    if not path.is_file() or path.stat().st_size != stored.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == stored.hash


def _make_durable(file: BinaryIO, name: Path, target: Path) -> None:
    """Give the complete file its place, once its bytes are on disk."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    sync(file.fileno())
    name.rename(target)

"""Tokens on disk: plain little-endian numbers in files of bounded size, written once, then read as if they were in memory."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from agents.trainer.data.corpus import BadData
from agents.trainer.data.documents import Document
from agents.trainer.data.tokens import Ids, Tokenizer, dtype_for
from bus.log.disk import sync

SHARD = 256 << 20
"""Bytes of a shard; only the last one of a part is smaller."""
MARGIN = 256 << 20
"""Bytes of the disk that tokens leave free, about: more is asked for at each new shard."""
WAITING = 1 << 20
"""Bytes of text that are encoded at once."""
WAITING_PARTS = 1 << 16
"""Parts of documents, and their ends, that are encoded at once; texts may be short."""


class Shard(Struct, frozen=True, kw_only=True):
    """A file of tokens: its size in bytes, SHA-256 of its content."""

    size: int
    sha256: str


class Part(Struct, frozen=True, kw_only=True):
    """One side of a split: its size in tokens, documents and bytes of text, and its shards by file name, in order."""

    tokens: int
    documents: int
    bytes: int
    shards: dict[str, Shard]


def must_have_room(folder: Path, needed: int) -> None:
    """Raises BadData where the disk of `folder` has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed + MARGIN > free:
        raise BadData(
            f"the tokens need about {needed >> 20} MiB more in {folder}, which has {free >> 20} MiB, of which {MARGIN >> 20} stay free: "
            "remove folders there, or make room"
        )


class Writer:
    """Encodes documents into the shards `name`-00000.bin, … of a folder, each document followed by the separator."""

    def __init__(self, folder: Path, name: str, tokenizer: Tokenizer) -> None:
        self._folder, self._name, self._tokenizer = folder, name, tokenizer
        self._dtype = np.dtype(dtype_for(tokenizer.vocabulary))
        self._shard_size = max(1, SHARD // self._dtype.itemsize) * self._dtype.itemsize
        self._waiting: list[bytes | None] = []  # None: a document ends here
        self._waiting_size = 0
        self._shards: dict[str, Shard] = {}
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._documents = self._bytes = 0

    def add(self, document: Document) -> bool:
        """Write one document, and say whether it left anything: one without text does not.

        Raises OSError, and BadData where it cannot be read or the disk is full.
        """
        before = self._bytes
        for text in filter(None, document.parts):
            self._waiting.append(text)
            self._bytes += len(text)
            self._waiting_size += len(text)
            if self._waiting_size >= WAITING or len(self._waiting) >= WAITING_PARTS:
                self._encode()
        if self._bytes == before:
            return False
        self._waiting.append(None)
        self._documents += 1
        return True

    def close(self) -> Part:
        """Put everything on disk. Raises OSError, and BadData where the disk is full."""
        self._encode()
        self._close_shard()
        tokens = sum(shard.size for shard in self._shards.values()) // self._dtype.itemsize
        return Part(tokens=tokens, documents=self._documents, bytes=self._bytes, shards=self._shards)

    def _encode(self) -> None:
        encoded = iter(self._tokenizer.encode([text for text in self._waiting if text is not None]))
        end = np.array([self._tokenizer.separator], self._dtype)
        tokens: list[Ids] = [end if text is None else next(encoded).astype(self._dtype, copy=False) for text in self._waiting]
        self._waiting, self._waiting_size = [], 0
        if tokens:
            self._write(np.concatenate(tokens).data.cast("B"))

    def _write(self, data: memoryview) -> None:
        while data:
            if self._file is None:
                must_have_room(self._folder, len(data))  # what was reckoned before is what the files say of themselves
                self._open_shard()
            assert self._file is not None
            room = self._shard_size - self._file.tell()
            self._file.write(data[:room])
            self._digest.update(data[:room])
            data = data[room:]
            if self._file.tell() == self._shard_size:
                self._close_shard()

    def _open_shard(self) -> None:
        self._file = (self._folder / f"{self._name}-{len(self._shards):05}.bin").open("wb")
        self._digest = hashlib.sha256()

    def _close_shard(self) -> None:
        if self._file is not None:
            with self._file as file:
                self._shards[Path(file.name).name] = Shard(size=file.tell(), sha256=self._digest.hexdigest())
                file.flush()
                sync(file.fileno())
            self._file = None


class Tokens:
    """The tokens of a part, mapped from their files: what is read is in memory, and the system may forget it again."""

    def __init__(self, folder: Path, part: Part, dtype: str) -> None:
        """Raises OSError."""
        self._shards = [np.memmap(folder / name, dtype, "r") for name in part.shards]
        self._per_shard = len(self._shards[0]) if self._shards else 1
        self._length = part.tokens

    def __len__(self) -> int:
        return self._length

    def rows(self, starts: Sequence[int], length: int) -> NDArray[np.int32]:
        """The `length` tokens from each of `starts` on [len(starts), length]. They must lie within the part."""
        rows = np.empty((len(starts), length), np.int32)
        for row, start in zip(rows, starts, strict=True):
            filled = 0
            for piece in self._pieces(start, start + length):
                row[filled : filled + len(piece)] = piece
                filled += len(piece)
        return rows

    def _pieces(self, start: int, end: int) -> Iterator[Ids]:
        while start < end:
            shard, offset = divmod(start, self._per_shard)
            piece = self._shards[shard][offset : offset + end - start]
            yield piece
            start += len(piece)

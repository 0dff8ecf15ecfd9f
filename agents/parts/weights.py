"""The weights of a model in safetensors files, read a few rows at a time: a model need not fit in memory."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from agents.parts.safetensors import PREFIX, BadSafetensors, Entry, header_size, layout

_PIECE = 1 << 16
"""Numbers that are read at once."""
_RAW = 1 << 20
"""Bytes that are, where they are not looked at."""
_DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype(ml_dtypes.bfloat16)}
_WIDTHS = {name: dtype.itemsize for name, dtype in _DTYPES.items()}


class BadWeights(ValueError):
    """Weights that no model can be made of; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class _File:
    """An open file, read from anywhere in it and from any thread."""

    path: Path
    descriptor: int

    def read(self, start: int, size: int) -> bytes:
        """Bytes from `start`, not by a memory map: its pages would count as this process's memory. Raises BadSafetensors, OSError."""
        data = os.pread(self.descriptor, size, start)
        if len(data) != size:
            raise BadSafetensors(f"{self.path} has {len(data)} of {size} bytes from {start}: it was cut short")
        return data

    def tensors(self) -> dict[str, _Tensor]:
        """Those that the header names. Raises BadSafetensors, OSError."""
        size = os.fstat(self.descriptor).st_size
        try:
            start = PREFIX + header_size(self.read(0, min(PREFIX, size)), size)
            entries, _ = layout(self.read(PREFIX, start - PREFIX), size - start, _WIDTHS)
        except BadSafetensors as error:
            raise BadSafetensors(f"{self.path}: {error}") from error
        return {name: _Tensor(self, start + entry.data_offsets[0], entry) for name, entry in entries.items()}


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Where a tensor lies: in `file`, from byte `start`."""

    file: _File
    start: int
    entry: Entry

    def pieces(self, first: int, count: int) -> Iterator[NDArray[np.float32]]:
        """`count` of its numbers from the one at `first`, in their order."""
        dtype = _DTYPES[self.entry.dtype]
        for at in range(first, first + count, _PIECE):
            data = self.file.read(self.start + at * dtype.itemsize, min(_PIECE, first + count - at) * dtype.itemsize)
            yield np.frombuffer(data, dtype).astype(np.float32, copy=False)


class Weights:
    """The tensors of safetensors files, in float32, float16 or bfloat16.

    Only headers are read at first. The files stay open for as long as this lives: they may be removed meanwhile.
    Raises BadSafetensors, BadWeights for a name in two files, OSError.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._tensors: dict[str, _Tensor] = {}
        for path in files:
            file = _File(path, os.open(path, os.O_RDONLY))
            weakref.finalize(self, os.close, file.descriptor)
            for name, tensor in file.tensors().items():
                if name in self._tensors:
                    raise BadWeights(f"{name} is in {self._tensors[name].file.path} and in {path}: a weight must be in one file only")
                self._tensors[name] = tensor

    @property
    def names(self) -> tuple[str, ...]:
        """Of every tensor, file by file, in the order of their bytes."""
        return tuple(self._tensors)

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(map(self.bytes_of, self._tensors))

    def dtype(self, name: str) -> str:
        """As safetensors calls it: F32, F16 or BF16. Raises BadWeights where no tensor has this name."""
        return self._tensor(name).entry.dtype

    def shape(self, name: str) -> tuple[int, ...]:
        """Raises BadWeights where no tensor has this name."""
        return tuple(self._tensor(name).entry.shape)

    def bytes_of(self, name: str) -> int:
        """How many a tensor has. Raises BadWeights where no tensor has this name."""
        start, end = self._tensor(name).entry.data_offsets
        return end - start

    def raw(self, name: str) -> Iterator[bytes]:
        """The bytes of a tensor as they stand in its file, piece by piece. Raises BadWeights, BadSafetensors as `rows`, OSError."""
        tensor, size = self._tensor(name), self.bytes_of(name)
        for at in range(0, size, _RAW):
            yield tensor.file.read(tensor.start + at, min(_RAW, size - at))

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """The rows from `start` to before `stop` of a tensor, along its first axis.

        Raises BadWeights for a number that is NaN or infinite, BadSafetensors for a file that became shorter, OSError.
        """
        count, *rest = self.shape(name)
        if not 0 <= start <= stop <= count:
            raise IndexError(f"rows {start} to {stop} of {name}, which has {count}")
        row = math.prod(rest)
        return self._numbers(name, start * row, (stop - start) * row).reshape(stop - start, *rest)

    def whole(self, name: str) -> NDArray[np.float32]:
        """A tensor at once. Raises as `rows` does."""
        shape = self.shape(name)
        return self._numbers(name, 0, math.prod(shape)).reshape(shape)

    def _numbers(self, name: str, first: int, count: int) -> NDArray[np.float32]:
        numbers, at = np.empty(count, np.float32), 0
        for piece in self._tensors[name].pieces(first, count):
            if not np.isfinite(piece).all():
                raise self._not_finite(name)
            numbers[at : at + piece.size] = piece
            at += piece.size
        return numbers

    def _not_finite(self, name: str) -> BadWeights:
        shape = self.shape(name)
        bad = sum(int(np.count_nonzero(~np.isfinite(piece))) for piece in self._tensors[name].pieces(0, math.prod(shape)))
        numbers = f"{bad} of {math.prod(shape)} numbers that are NaN or infinite"
        return BadWeights(f"{name} has {numbers}: the training broke down before this checkpoint, so take an earlier one")

    def _tensor(self, name: str) -> _Tensor:
        if name not in self._tensors:
            raise BadWeights(f"no weight is called {name}: there are {len(self._tensors)}, from {next(iter(self._tensors), 'nothing')} on")
        return self._tensors[name]

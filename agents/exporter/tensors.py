"""The weights of an ONNX graph, made from a checkpoint's while they are written, so that a model need not fit in memory.

A matrix is [out, in] in a checkpoint; ONNX's MatMul wants it [in, out], and MatMulNBits [out, in] in blocks (agents/exporter/quantize.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import DTypeLike, NDArray

from agents.exporter import quantize
from agents.exporter.quantize import Quantized, packed
from agents.parts.weights import BadWeights, Weights
from schemas import export

TABLE = "model.embed_tokens.weight"
"""Rows of it are looked up; it is never multiplied with."""
POSITIONS = "vision.positions.weight"
"""Added to what an encoder reads."""
_BITS: dict[export.Precision, Literal[4, 8]] = {"int4": 4, "int8": 8}
_NUMBERS = {"float32": ir.DataType.FLOAT, "float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16}
_FEW = 1 << 16
"""Numbers of a tensor that are worked on at once: more of them take longer, since the system gives their memory anew each time."""
_BAND = 64 << 20
"""Bytes of a matrix that are turned around at once."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Numbers of `bits` in blocks of `size`, which share a scale and, where they are not `symmetric`, have a zero point."""

    bits: Literal[4, 8]
    size: Literal[32, 128]
    symmetric: bool


@dataclass(frozen=True, slots=True)
class Storage:
    """How a precision stores weights: the dtype that is computed with, that of the embedding's table, the blocks of matrices, if any."""

    precision: export.Precision
    numbers: ir.DataType
    table: ir.DataType
    blocks: Blocks | None


def storage_for(precision: export.Precision, block: Literal[32, 128] = 32, symmetric: bool = True) -> Storage:
    """What a precision means. `block` and `symmetric` are those of int4 and int8, whose table is float16."""
    if precision in _BITS:
        return Storage(precision, ir.DataType.FLOAT, ir.DataType.FLOAT16, Blocks(_BITS[precision], block, symmetric))
    return Storage(precision, _NUMBERS[precision], _NUMBERS[precision], None)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of a floating-point dtype of numpy or ml_dtypes."""

    dtype: DTypeLike

    def round(self, array: NDArray[np.floating[Any]]) -> NDArray[Any]:  # Any: of that dtype
        """The nearest numbers, ties to even. Raises BadWeights for those that would be infinite."""
        with np.errstate(over="ignore"):  # it is refused
            near = array.astype(self.dtype, copy=False)
            extremes = np.array([array.min(), array.max()]).astype(self.dtype)  # quicker than to look at every number
        if not np.isfinite(extremes).all():
            beyond = np.count_nonzero(~np.isfinite(near))
            raise BadWeights(f"{beyond} numbers, up to {np.abs(array).max():g}, are too large for {near.dtype}: export in float32")
        return near


Array = NDArray[Any]  # Any: of the tensor's dtype
Piece = tuple[int, Array]
"""Contiguous numbers of a tensor behind the index of the first; they may change when the next piece is made."""


class Streamed(ir.LazyTensor):
    """A tensor that is made a piece at a time as it is written, and anew each time; the pieces may come in any order."""

    def __init__(self, name: str, dtype: ir.DataType, shape: tuple[int, ...], pieces: Callable[[], Iterable[Piece]]) -> None:
        super().__init__(lambda: _joined(dtype, shape, pieces()), dtype, ir.Shape(shape), name=name)
        self._pieces = pieces

    def tofile(self, file: BinaryIO) -> None:
        """Write the tensor where `file` stands, which must be able to seek. Raises BadWeights, BadSafetensors, OSError."""
        start = file.tell()
        for index, piece in self._pieces():
            file.seek(start + index * piece.itemsize)
            file.write(piece.view(np.uint8).data)
        file.seek(start + self.nbytes)


def _joined(dtype: ir.DataType, shape: tuple[int, ...], pieces: Iterable[Piece]) -> ir.Tensor[Array]:
    array = np.empty(math.prod(shape), dtype.numpy())
    for index, piece in pieces:
        array[index : index + piece.size] = piece.reshape(-1)
    return ir.Tensor(array.reshape(shape), dtype)


def plain(weights: Weights, name: str, dtype: ir.DataType) -> Streamed:
    """A weight as it is, in `dtype`."""
    shape = weights.shape(name)

    def pieces() -> Iterator[Piece]:
        for first, rows in _rows(weights, name, 0, shape[0]):
            yield first * math.prod(shape[1:]), _near(name, rows, dtype)

    return Streamed(name, dtype, shape, pieces)


def transposed(weights: Weights, name: str, dtype: ir.DataType) -> ir.TensorProtocol:
    """A matrix [out, in] as [in, out], in `dtype`. It is read once, and every row is written in as many parts as there are bands."""
    outputs, inputs = weights.shape(name)
    band = min(outputs, max(1, _BAND // (inputs * dtype.numpy().itemsize)))

    def pieces() -> Iterator[Piece]:
        room = np.empty(inputs * band, dtype.numpy())
        for start in range(0, outputs, band):
            width = min(band, outputs - start)
            turned = room[: inputs * width].reshape(inputs, width)
            for first, rows in _rows(weights, name, start, start + width):
                turned[:, first - start : first - start + len(rows)] = _near(name, rows, dtype).T
            for index, row in enumerate(turned):
                yield index * outputs + start, row

    return Streamed(name, dtype, (inputs, outputs), pieces)


def quantized(weights: Weights, name: str, blocks: Blocks) -> list[ir.TensorProtocol]:
    """What MatMulNBits takes of a matrix [out, in]: codes, float32 scales and, unless the blocks are symmetric, zero points."""
    outputs, inputs = weights.shape(name)
    bits, count = blocks.bits, -(-inputs // blocks.size)

    def part(suffix: str, dtype: ir.DataType, row: tuple[int, ...], made: Callable[[Quantized], Array]) -> Streamed:
        def pieces() -> Iterator[Piece]:
            for first, rows in _rows(weights, name, 0, outputs):
                yield first * math.prod(row), made(_quantized(name, rows, blocks))

        return Streamed(f"{name}_{suffix}", dtype, (outputs, *row), pieces)

    codes = part(f"Q{bits}", ir.DataType.UINT8, (count, blocks.size * bits // 8), lambda rows: packed(rows.codes, bits))
    scales = part("scales", ir.DataType.FLOAT, (count,), lambda rows: rows.scales)
    if blocks.symmetric:
        return [codes, scales]
    return [codes, scales, part("zero_points", ir.DataType.UINT8, (-(-count * bits // 8),), lambda rows: packed(rows.zeros, bits))]


def rounded(weights: Weights, name: str, storage: Storage) -> NDArray[np.float32]:
    """A weight as the numbers that a graph stored so computes with. Raises BadWeights, BadSafetensors, OSError."""
    numbers = np.empty(weights.shape(name), np.float32)
    dtype = storage.table if name == TABLE else storage.numbers
    blocks = None if numbers.ndim == 1 or name in (TABLE, POSITIONS) else storage.blocks
    for first, rows in _rows(weights, name, 0, len(numbers)):
        known = _near(name, rows, dtype) if blocks is None else _quantized(name, rows, blocks).numbers[:, : rows.shape[1]]
        numbers[first : first + len(rows)] = known
    return numbers


def _rows(weights: Weights, name: str, start: int, stop: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The rows from `start` to `stop`, a few at a time behind the index of the first."""
    few = max(1, _FEW // math.prod(weights.shape(name)[1:]))
    for first in range(start, stop, few):
        yield first, weights.rows(name, first, min(first + few, stop))


def _near(name: str, rows: NDArray[np.float32], dtype: ir.DataType) -> Array:
    with _naming(name):
        return Numbers(dtype.numpy()).round(rows)


def _quantized(name: str, rows: NDArray[np.float32], blocks: Blocks) -> Quantized:
    with _naming(name):
        return quantize.quantized(rows, blocks.bits, blocks.size, blocks.symmetric)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say which weight is bad."""
    try:
        yield
    except BadWeights as error:
        raise BadWeights(f"{name}: {error}") from error

"""Weights in few bits: each row in blocks of numbers that share a scale and a zero point. Pure arithmetic on arrays.

A number is (code - zero point) * scale, as onnxruntime's MatMulNBits reads it, and scales are chosen as onnxruntime's own quantizer
does: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.parts.weights import BadWeights

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Quantized:
    """Rows cut into blocks [rows, blocks, size], and the scale and the zero point [rows, blocks] of each. Codes have `bits`, 4 or 8."""

    blocks: Floats
    scales: Floats
    zeros: Codes
    bits: int

    @property
    def codes(self) -> Codes:
        """The nearest ones [rows, blocks, size]."""
        steps = self.blocks * _reciprocals(self.scales)[..., None]
        steps += self.zeros[..., None]
        np.rint(steps, out=steps)
        return np.clip(steps, 0, 2**self.bits - 1, out=steps).astype(np.uint8)

    @property
    def numbers(self) -> Floats:
        """What the codes stand for, with what fills the last block of a row [rows, blocks * size]."""
        steps = self.codes.astype(np.float32)
        steps -= self.zeros[..., None]
        steps *= self.scales[..., None]
        return steps.reshape(len(steps), -1)


def quantized(rows: Floats, bits: int, size: int, symmetric: bool) -> Quantized:
    """Rows [rows, columns] in blocks; what is missing in a row's last block is zeros. Raises BadWeights.

    Symmetric: zero has the middle code, and the number farthest from it the lowest, so that a scale may be negative. Else the codes go
    from the smallest number to the largest, and from or to zero where all lie on one side of it.
    """
    blocks = _in_blocks(rows, size)
    lowest, highest = _extremes(blocks)
    if symmetric:
        middle = 2 ** (bits - 1)
        farthest: Floats = np.where(-lowest >= highest, lowest, highest)
        scales = _usable(farthest / np.float32(-middle))
        return Quantized(blocks, scales, np.full(scales.shape, middle, np.uint8), bits)
    lowest, highest = np.minimum(lowest, 0), np.maximum(highest, 0)
    with np.errstate(over="ignore"):  # it is refused
        scales = _usable((highest - lowest) / np.float32(2**bits - 1))
    return Quantized(blocks, scales, np.rint(-lowest * _reciprocals(scales)).astype(np.uint8), bits)


def packed(codes: Codes, bits: int) -> Codes:
    """Codes of 4 or 8 bits along the last axis as bytes, the first in the lower half of one; a missing last code is zero."""
    if bits == 8:
        return codes
    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], -1)
    both: Codes = np.bitwise_or(codes[..., 0::2], codes[..., 1::2] << 4)
    return both


def _in_blocks(rows: Floats, size: int) -> Floats:
    missing = -rows.shape[1] % size
    full = np.pad(rows, ((0, 0), (0, missing))) if missing else rows
    return full.reshape(len(rows), -1, size)


def _extremes(blocks: Floats) -> tuple[Floats, Floats]:
    """The smallest and the largest number of each block. On so short an axis reduceat takes less than half the time of min and max."""
    numbers, starts = blocks.reshape(-1), np.arange(0, blocks.size, blocks.shape[-1])
    shape = blocks.shape[:-1]
    return np.minimum.reduceat(numbers, starts).reshape(shape), np.maximum.reduceat(numbers, starts).reshape(shape)


def _usable(scales: Floats) -> Floats:
    """Scales, but zero for those too small to be divided by."""
    if not np.isfinite(scales).all():
        raise BadWeights("a block of its numbers spans more than float32 can say: the training broke down, so take an earlier checkpoint")
    return np.where(np.abs(scales) < np.finfo(np.float32).tiny, np.float32(0), scales)


def _reciprocals(scales: Floats) -> Floats:
    return np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)

"""Rows become codes in blocks that are near them, and the same that onnxruntime's quantizer makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, DefaultWeightOnlyQuantizer

from agents.exporter.quantize import packed, quantized
from agents.parts.weights import BadWeights

TINY = float(np.finfo(np.float32).tiny)

every_kind = pytest.mark.parametrize(
    ("bits", "size", "symmetric"), [(bits, size, symmetric) for bits in (4, 8) for size in (32, 128) for symmetric in (True, False)]
)
numbers = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, -1e-45])
matrices = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=70), elements=numbers)


def onnxruntime_quantized(rows: np.ndarray, bits: int, size: int, symmetric: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Packed codes, scales and packed zero points, as onnxruntime's quantizer makes them."""
    config = DefaultWeightOnlyQuantConfig(block_size=size, is_symmetric=symmetric, bits=bits)
    return DefaultWeightOnlyQuantizer(config).qbits_block_quant(np.ascontiguousarray(rows.T))


@every_kind
@settings(max_examples=60, deadline=None)
@given(rows=matrices)
def test_a_number_comes_back_within_half_a_step(rows: np.ndarray, bits: int, size: int, symmetric: bool) -> None:
    result = quantized(rows, bits, size, symmetric)

    steps = np.repeat(np.abs(result.scales), size, 1)[:, : rows.shape[1]]
    errors = np.abs(result.numbers[:, : rows.shape[1]] - rows)
    at_the_end = (result.codes == 2**bits - 1).reshape(len(rows), -1)[:, : rows.shape[1]]  # which is a step nearer to zero than the other
    allowed = np.where(at_the_end & symmetric, 1.0, 0.5) * steps
    assert np.isfinite(result.numbers).all()
    assert (errors <= allowed * 1.001 + 2**bits * TINY).all()


@every_kind
@settings(max_examples=60, deadline=None)
@given(rows=matrices)
def test_zero_stays_zero_also_where_it_fills_a_block(rows: np.ndarray, bits: int, size: int, symmetric: bool) -> None:
    rows[:, ::3] = 0
    result = quantized(rows, bits, size, symmetric)

    assert not result.numbers[:, : rows.shape[1]][:, ::3].any()
    assert not result.numbers[:, rows.shape[1] :].any()


@pytest.mark.parametrize("bits", [4, 8])
@settings(max_examples=60, deadline=None)
@given(rows=matrices)
def test_the_number_farthest_from_zero_stays_as_it_is_where_zero_has_the_middle_code(rows: np.ndarray, bits: int) -> None:
    result = quantized(rows, bits, 128, True)

    farthest = np.abs(rows).max(1)
    kept = np.abs(result.numbers).max(1)
    np.testing.assert_array_equal(kept, np.where(farthest < 2 ** (bits - 1) * TINY, 0, farthest))


@every_kind
def test_codes_are_those_of_onnxruntimes_quantizer(bits: int, size: int, symmetric: bool) -> None:
    rows = (0.02 * np.random.default_rng(0).standard_normal((64, 352))).astype(np.float32)
    rows[1], rows[2], rows[3] = 0, np.abs(rows[2]), -np.abs(rows[3])
    expected, scales, zeros = onnxruntime_quantized(rows, bits, size, symmetric)

    result = quantized(rows, bits, size, symmetric)

    np.testing.assert_array_equal(result.scales, scales)
    if not symmetric:
        np.testing.assert_array_equal(result.zeros, unpacked(zeros, bits)[:, : result.zeros.shape[1]])
    theirs = unpacked(expected, bits).reshape(64, -1)[:, :352].astype(int)
    ours = result.codes.reshape(64, -1)[:, :352].astype(int)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours != theirs).sum() <= 2  # halfway between two codes


def test_a_block_is_not_worse_for_what_is_in_another() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 256)).astype(np.float32)
    beside = rows.copy()
    beside[:, 128:] *= 1000

    alone, together = (quantized(each, 4, 128, True).numbers[:, :128] for each in (rows, beside))

    np.testing.assert_array_equal(alone, together)


@settings(max_examples=100, deadline=None)
@given(codes=arrays(np.uint8, array_shapes(max_dims=3, max_side=9), elements=st.integers(0, 15)))
def test_packed_codes_can_be_unpacked(codes: np.ndarray) -> None:
    data = packed(codes, 4)

    assert data.dtype == np.uint8 and data.shape == (*codes.shape[:-1], -(-codes.shape[-1] // 2))
    np.testing.assert_array_equal(unpacked(data, 4)[..., : codes.shape[-1]], codes)
    np.testing.assert_array_equal(packed(codes, 8), codes)


def test_numbers_too_far_apart_for_a_scale_are_refused() -> None:
    rows = np.array([[3e38, -3e38]], np.float32)

    with pytest.raises(BadWeights, match="spans more than float32"):
        quantized(rows, 4, 32, False)
    assert np.isfinite(quantized(rows, 4, 32, True).numbers).all()


def unpacked(data: np.ndarray, bits: int) -> np.ndarray:
    """Each code of bytes, as onnxruntime's documentation says: the first in the lower half."""
    if bits == 8:
        return data
    return np.stack([data & 15, data >> 4], -1).reshape(*data.shape[:-1], -1)

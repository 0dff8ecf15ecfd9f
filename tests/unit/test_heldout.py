"""A sample of held-out rows comes back as it was written, and is read with suspicion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tinygrad.nn.state import safe_load

from agents.parts import safetensors
from agents.parts.heldout import ROWS_LIMIT, SIZE_LIMIT, BadHeldout, read, write
from agents.parts.targets import IGNORED

VOCABULARY = 50
Batch = tuple[NDArray[Any], ...]


def batch(rows: int, length: int = 5, size: int = 0, seed: int = 0) -> Batch:
    """Random tokens and targets, the last of which count for nothing, behind pictures of `size` pixels."""
    draw = np.random.default_rng(seed)
    tokens, targets = (draw.integers(0, VOCABULARY, (rows, length)).astype(np.int32) for _ in range(2))
    targets[:, 1:][draw.integers(0, 2, (rows, length - 1)) == 1] = IGNORED
    return (draw.integers(0, 256, (rows, size, size, 3)).astype(np.uint8), tokens, targets) if size else (tokens, targets)


def file(*batches: Batch) -> bytes:
    return b"".join(write(batches))


def altered(**arrays: NDArray[Any]) -> bytes:
    """A file of two rows with pictures, in which arrays are others."""
    named = {str(place): array for place, array in enumerate(batch(2, size=2))}
    return safetensors.encode({**named, **{name[1:]: array for name, array in arrays.items()}}, {})


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.sampled_from([0, 3]), st.integers(1, 4))
def test_the_first_rows_come_back(rows: int, length: int, size: int, count: int) -> None:
    batches = [batch(rows, length, size, seed) for seed in range(count)]

    found = read(file(*batches), VOCABULARY)

    for array, parts in zip(found, zip(*batches, strict=True), strict=True):
        np.testing.assert_array_equal(array, np.concatenate(parts)[:ROWS_LIMIT])
        assert array.dtype == parts[0].dtype


def test_another_library_reads_the_same_arrays(tmp_path: Path) -> None:
    (tmp_path / "sample").write_bytes(file(batch(3, size=4)))

    found = safe_load(tmp_path / "sample")

    assert sorted(found) == ["0", "1", "2"]
    for name, array in zip(sorted(found), batch(3, size=4), strict=True):
        np.testing.assert_array_equal(found[name].numpy(), array)


def test_rows_that_are_large_are_fewer() -> None:
    data = file(batch(16, size=512))

    pictures, tokens, _ = read(data, VOCABULARY)
    assert len(pictures) == len(tokens) == 10
    assert len(data) <= SIZE_LIMIT


def test_no_more_batches_are_made_than_are_kept() -> None:
    def batches() -> Iterator[Batch]:
        yield from (batch(ROWS_LIMIT // 2, seed=seed) for seed in range(2))
        raise AssertionError("a third one was asked for")

    assert len(read(b"".join(write(batches())), VOCABULARY)[0]) == ROWS_LIMIT


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 held-out rows"):
        file()
    with pytest.raises(ValueError, match="of which 0 fit"):
        file(batch(1, length=SIZE_LIMIT // 8))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes cannot hold a header"),
        (b" " * (SIZE_LIMIT + 1), "at most 8388608 are read"),
        (safetensors.encode({"0": np.zeros((2, 5), np.int32)}, {}), r"the arrays \['0'\]"),
        (altered(_3=np.zeros(1, np.int32)), r"the arrays \['0', '1', '2', '3'\]"),
        (safetensors.encode({"0": np.zeros((2, 5), np.int32), "tokens": np.zeros((2, 5), np.int32)}, {}), "the arrays"),
        (altered(_1=np.zeros((2, 5), np.int64)), r"tokens are int64 \[2, 5\]"),
        (altered(_1=np.zeros((2, 4), np.int32)), r"targets int32 \[2, 5\]: want int32 \[rows, length\] of one shape"),
        (altered(_1=np.zeros(5, np.int32), _2=np.zeros(5, np.int32)), r"tokens are int32 \[5\]"),
        (altered(_0=np.zeros((3, 2, 2, 3), np.uint8)), r"want uint8 \[2, size, size, channels\]"),
        (altered(_0=np.zeros((2, 2, 2, 3), np.float32)), "pictures are float32"),
        (altered(_0=np.zeros((2, 12), np.uint8)), r"pictures are uint8 \[2, 12\]"),
        (safetensors.encode(dict.fromkeys("01", np.zeros((65, 1), np.int32)), {}), "65 rows: at most 64"),
        (altered(_1=np.full((2, 5), VOCABULARY, np.int32)), "tokens are 50 to 50: want 0 to 49"),
        (altered(_1=np.full((2, 5), IGNORED, np.int32)), "tokens are -100 to -100"),
        (altered(_2=np.full((2, 5), -1, np.int32)), "targets are -1 to -1"),
        (altered(_2=np.full((2, 5), IGNORED, np.int32)), "no target counts"),
    ],
)
def test_what_is_no_sample_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadHeldout, match=reason):
        read(data, VOCABULARY)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(file(batch(2, size=2))) - 1), st.integers(0, 255))
def test_no_changed_byte_crashes_the_reader(at: int, value: int) -> None:
    data = bytearray(file(batch(2, size=2)))
    data[at] = value
    try:
        *_, tokens, targets = read(bytes(data), VOCABULARY)
    except BadHeldout:
        return
    assert tokens.shape == targets.shape and 0 <= tokens.min() <= tokens.max() < VOCABULARY

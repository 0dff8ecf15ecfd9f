"""Weights are read from files a few rows at a time, with suspicion of the files and of the numbers."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.parts import safetensors
from agents.parts.safetensors import HEADER_LIMIT, BadSafetensors
from agents.parts.weights import BadWeights, Weights

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


def written(folder: Path, tensors: dict[str, np.ndarray], name: str = "model.safetensors") -> Path:
    """A file of tensors, whose bytes stand in their order here."""
    header, at = {}, 0
    names = {np.dtype(dtype): code for code, dtype in DTYPES.items()}
    for key, array in tensors.items():
        header[key] = entry(names.get(array.dtype, "I64"), array.shape, (at, at + array.nbytes))
        at += array.nbytes
    return placed(folder, header, b"".join(array.tobytes() for array in tensors.values()), name)


def placed(folder: Path, header: Any, body: bytes, name: str = "model.safetensors") -> Path:
    text = json.dumps(header).encode()
    (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + body)
    return folder / name


def entry(dtype: str, shape: Any, offsets: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def sparse(folder: Path, shape: tuple[int, int]) -> Path:
    """A file of zeros that takes no place on disk."""
    size = shape[0] * shape[1] * 2
    path = placed(folder, {"w": entry("BF16", shape, (0, size))}, b"")
    os.truncate(path, path.stat().st_size + size)
    return path


def test_it_knows_what_is_in_several_files(tmp_path: Path) -> None:
    first = written(tmp_path, {"a": np.ones((2, 3), np.float32), "b": np.ones(4, ml_dtypes.bfloat16)}, "1")
    weights = Weights([first, written(tmp_path, {"c": np.ones((1, 2, 3), np.float16)}, "2")])

    assert weights.names == ("a", "b", "c")
    assert [weights.dtype(name) for name in "abc"] == ["F32", "BF16", "F16"]
    assert [weights.shape(name) for name in "abc"] == [(2, 3), (4,), (1, 2, 3)]
    assert weights.size == 24 + 8 + 12


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dtype=st.sampled_from(sorted(DTYPES)), rows=st.integers(1, 300), columns=st.sampled_from([1, 7, 1000]), data=st.data())
def test_rows_are_those_of_the_whole(tmp_path: Path, dtype: str, rows: int, columns: int, data: st.DataObject) -> None:
    stored = np.random.default_rng(rows).standard_normal((rows, columns)).astype(DTYPES[dtype])
    weights = Weights([written(tmp_path, {"before": np.ones(3, np.float32), "w": stored, "after": np.ones(5, np.float16)})])
    start = data.draw(st.integers(0, rows))
    stop = data.draw(st.integers(start, rows))

    np.testing.assert_array_equal(weights.whole("w"), stored.astype(np.float32))
    np.testing.assert_array_equal(weights.rows("w", start, stop), stored.astype(np.float32)[start:stop])
    assert weights.rows("w", start, stop).dtype == np.float32
    assert b"".join(weights.raw("w")) == stored.tobytes() and weights.bytes_of("w") == stored.nbytes


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    tensors = {"scalar": np.array(2, np.float32), "w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    (tmp_path / "w").write_bytes(safetensors.encode(tensors, {"format": "pt"}))
    weights = Weights([tmp_path / "w"])

    assert set(weights.names) == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(weights.whole(name), array)


def test_a_few_rows_of_a_large_tensor_take_little_memory(tmp_path: Path) -> None:
    weights = Weights([sparse(tmp_path, (1 << 19, 1 << 10))])
    tracemalloc.start()
    for start in range(0, 1 << 19, 1 << 16):
        weights.rows("w", start, start + 256)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert weights.size == 1 << 30
    assert taken < 4 << 20


def test_a_file_may_be_removed_while_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, {"w": np.ones(3, np.float32)})
    weights = Weights([path])
    path.unlink()

    np.testing.assert_array_equal(weights.whole("w"), np.ones(3))


def test_files_are_closed_when_nobody_reads_them_any_more(tmp_path: Path) -> None:
    path, bad = written(tmp_path, {"w": np.ones(3, np.float32)}), placed(tmp_path, [], b"", "bad")
    before = psutil.Process().num_fds()
    weights = Weights([path])
    assert psutil.Process().num_fds() == before + 1
    del weights
    with pytest.raises(BadSafetensors):
        Weights([path, bad])

    assert psutil.Process().num_fds() == before


@pytest.mark.parametrize(
    ("header", "body", "reason"),
    [
        ({"w": entry("F32", (3,), (0, 12))}, 8, "claims bytes 0 to 12 of 8"),
        ({"w": entry("BF16", (3,), (0, 12))}, 12, "claims bytes 0 to 12 of 12, and needs 6"),
        ({"v": entry("F32", (2,), (0, 8)), "w": entry("F32", (2,), (4, 12))}, 12, "'w' claims bytes 4 to 12"),
        ({"w": entry("F32", (2,), (4, 12))}, 12, "claims bytes 4 to 12"),
        ({"w": entry("I64", (1,), (0, 8))}, 8, "only F32, F16, BF16 are read"),
        ({"w": entry("F32", (1,), (0, 4))}, 5, "1 bytes after the last tensor"),
        ({"w": 1}, 0, "'w'"),
        ([], 0, "no JSON object"),
    ],
)
def test_a_file_that_does_not_hold_what_it_says_is_refused(tmp_path: Path, header: Any, body: int, reason: str) -> None:
    path = placed(tmp_path, header, bytes(body))

    with pytest.raises(BadSafetensors, match=reason) as refused:
        Weights([path])

    assert str(path) in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\0" * 7, struct.pack("<Q", 3) + b"{}"])
def test_a_file_cut_short_in_its_header_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)

    with pytest.raises(BadSafetensors, match="cannot hold a header"):
        Weights([tmp_path / "w"])


def test_a_header_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(struct.pack("<Q", HEADER_LIMIT + 1))
    os.truncate(tmp_path / "w", 2 * HEADER_LIMIT)
    tracemalloc.start()
    with pytest.raises(BadSafetensors, match="cannot hold a header"):
        Weights([tmp_path / "w"])
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert taken < HEADER_LIMIT / 8


def test_a_file_cut_short_while_it_is_open_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, {"w": np.ones(100, np.float32)})
    weights = Weights([path])
    os.truncate(path, path.stat().st_size - 40)

    np.testing.assert_array_equal(weights.rows("w", 0, 90), np.ones(90))
    with pytest.raises(BadSafetensors, match="it was cut short"):
        weights.whole("w")


def test_a_name_in_two_files_is_refused(tmp_path: Path) -> None:
    files = [written(tmp_path, {"w": np.ones(3, np.float32)}, name) for name in "12"]

    with pytest.raises(BadWeights, match=r"w is in .*1 and in .*2"):
        Weights(files)


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_with_its_place_and_count(tmp_path: Path, dtype: str, value: float) -> None:
    stored = np.ones((300, 1000), DTYPES[dtype])
    stored[[0, 7, 299], 3] = value
    weights = Weights([written(tmp_path, {"layer.w": stored})])

    np.testing.assert_array_equal(weights.rows("layer.w", 8, 299), np.ones((291, 1000)))
    for start, stop in ((0, 1), (5, 9), (0, 300)):
        with pytest.raises(BadWeights, match=r"layer\.w has 3 of 300000 numbers that are NaN or infinite: .*earlier"):
            weights.rows("layer.w", start, stop)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    weights = Weights([written(tmp_path, {"w": np.ones((3, 2), np.float32)})])

    for start, stop in ((-1, 2), (0, 4), (2, 1)):
        with pytest.raises(IndexError, match=f"rows {start} to {stop} of w, which has 3"):
            weights.rows("w", start, stop)
    with pytest.raises(BadWeights, match="no weight is called v: there are 1, from w on"):
        weights.whole("v")
    with pytest.raises(FileNotFoundError):
        Weights([tmp_path / "nothing"])

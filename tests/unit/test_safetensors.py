"""Safetensors files are written as the format says, and read with suspicion."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.parts.safetensors import BadSafetensors, decode, encode

TENSORS: dict[str, np.ndarray] = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([1, -2], np.int64),
    "scalar": np.array(0.5, np.float64),
}


def file(header: Any, body: bytes = b"\0" * 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_what_is_written_can_be_read() -> None:
    tensors, metadata = decode(encode(TENSORS, {"format": "pt"}))

    assert metadata == {"format": "pt"}
    assert tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name], array)


def test_the_bytes_are_laid_out_as_the_format_says() -> None:
    data = encode(TENSORS, {})

    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert header["b"] == {"dtype": "F32", "shape": [2, 3], "data_offsets": [16, 40]}
    assert data[8 + length :][16:40] == struct.pack("<6f", *range(6))


def test_equal_tensors_make_equal_bytes_in_any_order() -> None:
    assert encode(TENSORS, {}) == encode(dict(reversed(TENSORS.items())), {})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 100) + b"{}",
        file(b"[]"),
        file(b"\xff\xfe"),
        file(b"[" * 100_000),
        file({"w": 1}),
        file({"__metadata__": {"a": 1}}, b""),
        file(entry(dtype="BF8")),
        file(entry(dtype=7)),
        file(entry(shape=[3])),
        file(entry(shape=[-2])),
        file(entry(shape=[0, 2**62], offsets=(0, 0)), b""),
        file(entry(shape=[2**62, 2**62])),
        file(entry(shape=[1] * 100 + [2])),
        file(entry(offsets=[0, 16])),
        file(entry(offsets=[8, 0])),
        file(entry(offsets=[-8, 0])),
        file(entry(offsets=[4, 12])),
        file(entry(), b"\0" * 9),
        file({**entry(), "v": entry()["w"]}),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(data: bytes) -> None:
    with pytest.raises(BadSafetensors):
        decode(data)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["w", "v", "__metadata__"]),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "U8", "I64", "", "F128"]),
                "shape": st.lists(st.integers(-1, 2**70), max_size=3),
                "data_offsets": st.lists(st.integers(-1, 2**70), max_size=3),
            }
        )
        | st.integers()
        | st.text(),
    ),
    st.binary(max_size=32),
)
def test_no_header_crashes_the_reader(header: Any, body: bytes) -> None:
    try:
        tensors, _ = decode(file(header, body))
    except BadSafetensors:
        return
    assert sum(array.nbytes for array in tensors.values()) == len(body)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(encode(TENSORS, {})) - 1), st.integers(0, 255))
def test_no_changed_byte_crashes_the_reader(at: int, value: int) -> None:
    data = bytearray(encode(TENSORS, {}))
    data[at] = value
    try:
        decode(bytes(data))
    except BadSafetensors:
        return

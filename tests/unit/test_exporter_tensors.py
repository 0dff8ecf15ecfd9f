"""Tensors of a graph are written from weights a piece at a time, and hold what the graph then computes with."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.exporter import tensors
from agents.exporter.tensors import POSITIONS, TABLE, Blocks, Numbers, plain, quantized, rounded, storage_for, transposed
from agents.parts import safetensors
from agents.parts.weights import BadWeights, Weights

FLOATS = {ir.DataType.FLOAT: np.float32, ir.DataType.FLOAT16: np.float16, ir.DataType.BFLOAT16: ml_dtypes.bfloat16}
EVERY_BLOCKS = [Blocks(bits, size, symmetric) for bits in (4, 8) for size in (32, 128) for symmetric in (True, False)]

every_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.name)
every_blocks = pytest.mark.parametrize("blocks", EVERY_BLOCKS, ids=str)


def matrix(rows: int, columns: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(rows).standard_normal((rows, columns))).astype(np.float32)


def stored(folder: Path, **arrays: np.ndarray) -> Weights:
    (folder / "w").write_bytes(safetensors.encode(arrays, {}))
    return Weights([folder / "w"])


def written(tensor: ir.TensorProtocol, before: int = 3) -> bytes:
    """What it writes behind so many bytes of a file."""
    file = io.BytesIO(b"x" * before)
    file.seek(before)
    tensor.tofile(file)
    assert file.tell() == before + tensor.nbytes
    assert file.getvalue()[:before] == b"x" * before
    return file.getvalue()[before:]


@pytest.fixture(params=[(7, 13), (300, 352), (1, 70_000)], ids=str)
def array(request: pytest.FixtureRequest) -> np.ndarray:
    return matrix(*request.param)


@every_dtype
def test_a_plain_tensor_is_the_weight_in_its_dtype(tmp_path: Path, array: np.ndarray, dtype: ir.DataType) -> None:
    tensor = plain(stored(tmp_path, w=array), "w", dtype)

    assert (tensor.name, tensor.dtype, tensor.shape) == ("w", dtype, array.shape)
    np.testing.assert_array_equal(tensor.numpy(), array.astype(FLOATS[dtype]))
    assert written(tensor) == tensor.tobytes() == array.astype(FLOATS[dtype]).tobytes()


@every_dtype
@pytest.mark.parametrize("band", [1, 1 << 12, 1 << 30])
def test_a_transposed_tensor_is_the_same_in_bands_of_any_size(
    tmp_path: Path, array: np.ndarray, dtype: ir.DataType, band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "_BAND", band)
    tensor = transposed(stored(tmp_path, w=array), "w", dtype)

    assert (tensor.name, tensor.dtype, tensor.shape) == ("w", dtype, array.T.shape)
    np.testing.assert_array_equal(tensor.numpy(), array.T.astype(FLOATS[dtype]))
    assert written(tensor) == tensor.tobytes() == array.T.astype(FLOATS[dtype]).tobytes()


@every_blocks
def test_quantized_tensors_are_the_same_in_one_piece_and_in_many(tmp_path: Path, blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = stored(tmp_path, w=matrix(50, 352))
    monkeypatch.setattr(tensors, "_FEW", 1 << 30)
    whole = [written(part) for part in quantized(weights, "w", blocks)]
    monkeypatch.setattr(tensors, "_FEW", 1000)

    for part, data in zip(quantized(weights, "w", blocks), whole, strict=True):
        assert written(part) == part.tobytes() == data


@every_blocks
@pytest.mark.parametrize(("outputs", "inputs"), [(5, 352), (16, 256), (3, 20)])
def test_onnxruntime_multiplies_with_the_rounded_weights(tmp_path: Path, blocks: Blocks, outputs: int, inputs: int) -> None:
    weights = stored(tmp_path, w=matrix(outputs, inputs))
    storage = tensors.Storage("int4", ir.DataType.FLOAT, ir.DataType.FLOAT16, blocks)
    known = rounded(weights, "w", storage)
    x = np.random.default_rng(1).standard_normal((4, inputs)).astype(np.float32)

    product = multiplied(x, quantized(weights, "w", blocks), blocks, outputs)

    np.testing.assert_allclose(product, x @ known.T, rtol=1e-4, atol=1e-5)
    assert 0 < np.abs(known - weights.whole("w")).max() < 0.6 / 2 ** (blocks.bits - 1)


def multiplied(x: np.ndarray, parts: list[ir.TensorProtocol], blocks: Blocks, outputs: int) -> np.ndarray:
    """x times a quantised matrix, by onnxruntime's MatMulNBits."""
    tape = ir.tape.Tape()
    given = ir.val("x", dtype=ir.DataType.FLOAT, shape=x.shape)
    sizes = {"K": x.shape[1], "N": outputs, "bits": blocks.bits, "block_size": blocks.size}
    result = tape.op("MatMulNBits", [given, *map(tape.initializer, parts)], sizes, domain="com.microsoft")
    result.dtype, result.shape = ir.DataType.FLOAT, ir.Shape((len(x), outputs))
    graph = ir.Graph(
        [given], [result], nodes=tape.nodes, initializers=tape.initializers, opset_imports={"": 23, "com.microsoft": 1}, name="product"
    )
    proto = ir.to_proto(ir.Model(graph, ir_version=11))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("bits", [4, 8])
def test_quantized_tensors_have_the_shapes_and_names_of_matmulnbits(tmp_path: Path, bits: int) -> None:
    parts = quantized(stored(tmp_path, w=matrix(6, 352)), "w", Blocks(bits, 128, False))

    assert [part.name for part in parts] == [f"w_Q{bits}", "w_scales", "w_zero_points"]
    assert [tuple(part.shape) for part in parts] == [(6, 3, 16 * bits), (6, 3), (6, 2 if bits == 4 else 3)]
    assert [part.dtype for part in parts] == [ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.UINT8]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@settings(max_examples=200, deadline=None)
@given(numbers=arrays(np.float32, 20, elements=st.floats(-65504, 65504, width=32)))
def test_rounding_takes_the_nearest_number_and_the_even_one_of_two(numbers: np.ndarray, dtype: type) -> None:
    near = Numbers(dtype).round(numbers)

    with np.errstate(over="ignore"):  # beyond the largest is infinity
        below, above = (np.nextafter(near, np.array(end, dtype)).astype(np.float64) for end in (-np.inf, np.inf))
    distance = np.abs(near.astype(np.float64) - numbers)
    assert near.dtype == dtype
    for other in (below, above):
        assert (distance <= np.abs(other - numbers)).all()
        tie = (distance == np.abs(other - numbers)) & (distance > 0)
        assert (near.view(np.uint16)[tie] % 2 == 0).all()


@pytest.mark.parametrize(("dtype", "value"), [(np.float16, 65520), (np.float16, -1e5), (ml_dtypes.bfloat16, 3.4e38)])
def test_a_number_too_large_for_its_dtype_is_refused(dtype: type, value: float) -> None:
    numbers = np.array([1, value, 2, value], np.float32)

    with pytest.raises(BadWeights, match=r"2 numbers, up to .*, are too large for b?float16: export in float32"):
        Numbers(dtype).round(numbers)
    np.testing.assert_array_equal(Numbers(np.float32).round(numbers), numbers)
    assert Numbers(np.float16).round(np.array([65519.0], np.float32)) == 65504


def test_what_cannot_be_stored_is_refused_by_name(tmp_path: Path) -> None:
    large, broken = matrix(3, 40), matrix(3, 40)
    large[1, 1], broken[2, 2] = 1e5, np.nan
    weights = stored(tmp_path, large=large, broken=broken)

    for tensor in (plain(weights, "large", ir.DataType.FLOAT16), transposed(weights, "large", ir.DataType.FLOAT16)):
        with pytest.raises(BadWeights, match="large: 1 numbers, up to 100000, are too large for float16"):
            written(tensor)
    for tensor in (plain(weights, "broken", ir.DataType.FLOAT), *quantized(weights, "broken", Blocks(4, 32, False))):
        with pytest.raises(BadWeights, match="broken has 1 of 120 numbers that are NaN"):
            tensor.tobytes()


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16", "int8", "int4"])
def test_rounded_weights_are_what_is_stored(tmp_path: Path, precision: str) -> None:
    names = {TABLE: (9, 64), POSITIONS: (4, 64), "model.norm.weight": (64,), "lm_head.weight": (9, 64)}
    arrays = {
        name: matrix(index + 2, 640).reshape(-1)[: np.prod(shape)].reshape(shape) for index, (name, shape) in enumerate(names.items())
    }
    weights, storage = stored(tmp_path, **arrays), storage_for(precision)

    kept = {name: plain(weights, name, storage.table if name == TABLE else storage.numbers).numpy().astype(np.float32) for name in names}
    for name in names if storage.blocks is None else names.keys() - {"lm_head.weight"}:
        np.testing.assert_array_equal(rounded(weights, name, storage), kept[name])
    if storage.blocks:
        assert (rounded(weights, "lm_head.weight", storage) != arrays["lm_head.weight"]).mean() > 0.9


def test_precisions_say_what_is_stored() -> None:
    half, four = storage_for("float16"), storage_for("int4", 128, False)

    assert (half.numbers, half.table, half.blocks) == (ir.DataType.FLOAT16, ir.DataType.FLOAT16, None)
    assert (four.numbers, four.table, four.blocks) == (ir.DataType.FLOAT, ir.DataType.FLOAT16, Blocks(4, 128, False))
    assert storage_for("int8").blocks == Blocks(8, 32, True)


def test_writing_a_large_matrix_takes_little_memory(tmp_path: Path) -> None:
    outputs, inputs = 1 << 16, 1 << 10
    path = tmp_path / "zeros"  # which take no place on disk
    text = f'{{"w":{{"dtype":"BF16","shape":[{outputs},{inputs}],"data_offsets":[0,{2 * outputs * inputs}]}}}}'.encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + 2 * outputs * inputs)
    weights = Weights([path])

    assert peak(plain(weights, "w", ir.DataType.BFLOAT16), tmp_path) < 4 << 20
    assert peak(quantized(weights, "w", Blocks(4, 32, False))[0], tmp_path) < 4 << 20
    assert peak(transposed(weights, "w", ir.DataType.BFLOAT16), tmp_path) < 68 << 20


def peak(tensor: ir.TensorProtocol, folder: Path) -> int:
    """Bytes that are taken at once while a tensor is written."""
    tracemalloc.start()
    with (folder / "out").open("wb") as file:
        tensor.tofile(file)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return taken

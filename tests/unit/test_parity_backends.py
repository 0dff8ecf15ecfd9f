"""The same model in tinygrad, onnxruntime and tinygrad's OnnxRunner is the same model; another one is found out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import ml_dtypes
import msgspec
import numpy as np
import onnx_ir as ir
import pytest
from compiled import MICRO, SEEING
from exports import Arrays, export, held_out, lively_weights
from hypothesis import given
from hypothesis import strategies as st

from agents.exporter.parity.backends import onnx_runner, onnx_runtime, tinygrad_model
from agents.exporter.parity.backends.onnx_files import Files, pieces
from agents.exporter.parity.compare import Exported, agreement, compare
from agents.exporter.parity.gates import gates
from agents.exporter.parity.prompts import Inputs, draw
from agents.exporter.parity.readings import Backend, DidNotRun, Reading
from agents.parts.recipes import Recipe
from schemas.export import Agreement, Parity, Precision

WEIGHTS = {recipe.name: lively_weights(recipe) for recipe in (MICRO, SEEING)}
INPUTS = {recipe.name: draw(recipe, held_out(recipe), seed=0) for recipe in (MICRO, SEEING)}


@pytest.fixture(scope="module")
def readings() -> dict[str, Reading]:
    """The reference's, by recipe."""
    return {recipe.name: tinygrad_model.backend(recipe, WEIGHTS[recipe.name], "CPU").run(INPUTS[recipe.name]) for recipe in (MICRO, SEEING)}


def in_onnxruntime(recipe: Recipe, folder: Path) -> Backend:
    (backend,) = [each for each in onnx_runtime.backends(Files(folder, recipe)) if each.name == "onnxruntime CPU"]
    return backend


def compared(backend: Backend, reference: Reading, inputs: Inputs) -> Agreement:
    return agreement(backend, backend.run(inputs), reference, seconds=0.0)


@pytest.mark.parametrize("recipe", [MICRO, SEEING], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("program", ["onnxruntime", "OnnxRunner"])
def test_the_onnx_files_are_the_model(program: str, recipe: Recipe, readings: dict[str, Reading], tmp_path: Path) -> None:
    export(recipe, WEIGHTS[recipe.name], "float32", tmp_path)
    backend = in_onnxruntime(recipe, tmp_path) if program == "onnxruntime" else onnx_runner.backend(Files(tmp_path, recipe))

    found = compared(backend, readings[recipe.name], INPUTS[recipe.name])

    assert found.reason is None and found.greedy_same == found.top1 == 1.0
    assert found.max_abs is not None and found.max_abs < 1e-4
    assert found.cache_max_abs is not None and found.cache_max_abs < 1e-4
    assert found.perplexity_change == pytest.approx(0.0, abs=1e-6)


def test_another_device_of_tinygrad_is_compared_as_well() -> None:
    """tinygrad's emulator, which is no device of a machine, but computes without a compiler, and slowly."""
    smallest = dataclasses.replace(MICRO, layers=1, width=8, heads=2, kv_heads=1, ffn=8, vocabulary=8, context=4)
    weights, drawn = lively_weights(smallest), draw(smallest, None, seed=0)
    inputs = dataclasses.replace(drawn, size=dataclasses.replace(drawn.size, rows=2), prompts=drawn.prompts.rows(0, 2))
    reference = tinygrad_model.backend(smallest, weights, "CPU").run(inputs)

    found = compared(tinygrad_model.backend(smallest, weights, "PYTHON"), reference, inputs)

    assert found.backend == "tinygrad PYTHON" and found.greedy_same == 1.0
    assert found.max_abs is not None and 0 < found.max_abs < 1e-4


def test_the_reference_is_the_first_of_the_devices_here_and_no_emulator_is_among_them() -> None:
    first, *others = tinygrad_model.devices()

    assert first == "CPU" and not {"PYTHON", "NULL", "DISK"} & set(others)


def with_one_row_scaled(weights: Arrays) -> Arrays:
    head = weights["lm_head.weight"].copy()
    head[7] *= 1.01
    return weights | {"lm_head.weight": head}


def with_layers_swapped(weights: Arrays) -> Arrays:
    return {
        name.replace("layers.0", "layers.x").replace("layers.1", "layers.0").replace("layers.x", "layers.1"): weights[name]
        for name in weights
    }


def with_a_bolder_head(weights: Arrays) -> Arrays:
    return weights | {"lm_head.weight": weights["lm_head.weight"] * 2}


def failed(recipe: Recipe, weights: Arrays, precision: Precision, reference: Reading, folder: Path) -> set[str]:
    """The gates that a model of `recipe` with these weights fails."""
    export(recipe, weights, "float32", folder)
    found = compared(in_onnxruntime(recipe, folder), reference, INPUTS["micro"])
    return {gate.measure for gate in gates([found], precision, heldout=True) if not gate.passed}


def test_a_hundredth_in_one_row_of_the_head_fails_by_its_logits_alone(readings: dict[str, Reading], tmp_path: Path) -> None:
    assert failed(MICRO, with_one_row_scaled(WEIGHTS["micro"]), "float32", readings["micro"], tmp_path) == {"max_abs"}


def test_swapped_layers_fail_every_gate(readings: dict[str, Reading], tmp_path: Path) -> None:
    swapped = with_layers_swapped(WEIGHTS["micro"])

    assert failed(MICRO, swapped, "float32", readings["micro"], tmp_path) >= {"max_abs", "top1", "greedy_same"}


def test_another_base_of_the_rotation_fails(readings: dict[str, Reading], tmp_path: Path) -> None:
    turned = dataclasses.replace(MICRO, rope_base=500.0)

    assert failed(turned, WEIGHTS["micro"], "float16", readings["micro"], tmp_path) >= {"top1"}


def test_logits_twice_as_bold_fail_though_they_choose_the_same_tokens(readings: dict[str, Reading], tmp_path: Path) -> None:
    bold = with_a_bolder_head(WEIGHTS["micro"])

    assert failed(MICRO, bold, "float16", readings["micro"], tmp_path) == {"kl", "perplexity_change"}


def test_a_weight_that_is_no_number_fails_every_gate_of_what_it_computes(readings: dict[str, Reading], tmp_path: Path) -> None:
    export(MICRO, WEIGHTS["micro"], "float32", tmp_path)
    data = bytearray((tmp_path / "model.onnx.data").read_bytes())
    data[: 4 * 64] = np.full(64, np.nan, np.float32).tobytes()
    (tmp_path / "model.onnx.data").write_bytes(data)

    found = compared(in_onnxruntime(MICRO, tmp_path), readings["micro"], INPUTS["micro"])

    assert found.max_abs is found.top1 is None
    assert not any(gate.passed for gate in gates([found], "float32", heldout=True) if gate.measure not in ("onnx_ran", "broke"))


def test_layers_that_read_each_other_s_cache_are_found_out(readings: dict[str, Reading], tmp_path: Path) -> None:
    """A text read whole shows nothing of it."""
    export(MICRO, WEIGHTS["micro"], "float32", tmp_path)
    swap_caches(tmp_path / "model.onnx")

    found = compared(in_onnxruntime(MICRO, tmp_path), readings["micro"], INPUTS["micro"])

    assert {gate.measure for gate in gates([found], "float32", heldout=True) if not gate.passed} >= {"max_abs", "greedy_same"}
    assert found.cache_max_abs == pytest.approx(found.max_abs, rel=1e-3)
    assert found.perplexity_change == pytest.approx(0.0, abs=1e-6)


def swap_caches(file: Path) -> None:
    model = ir.load(file)
    first, second = (value for value in model.graph.inputs if value.name in ("past_key_values.0.value", "past_key_values.1.value"))
    first.name, second.name = "kept aside", first.name
    first.name = "past_key_values.1.value"
    ir.save(model, file, external_data=f"{file.name}.data")


@given(st.integers(1, 300))
def test_pieces_are_the_whole_text(length: int) -> None:
    cut = pieces(length)

    assert [place for start, stop in cut for place in range(start, stop)] == list(range(length))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_bfloat16_goes_into_onnxruntime_and_comes_back(numbers: list[float]) -> None:
    given_numbers = np.array([numbers], np.float32)
    with np.errstate(over="ignore"):
        nearest = given_numbers.astype(ml_dtypes.bfloat16).astype(np.float32)
        found = onnx_runtime.floats(onnx_runtime.ort_value(given_numbers, "tensor(bfloat16)"))

    np.testing.assert_array_equal(found, nearest)


def test_onnxruntime_s_reason_is_that_it_has_no_kernel_for_bfloat16(tmp_path: Path) -> None:
    export(MICRO, WEIGHTS["micro"], "bfloat16", tmp_path)

    with pytest.raises(DidNotRun, match="NOT_IMPLEMENTED"):
        in_onnxruntime(MICRO, tmp_path).run(INPUTS["micro"])


def test_tinygrad_says_in_what_it_computes_float16(tmp_path: Path) -> None:
    export(MICRO, WEIGHTS["micro"], "float16", tmp_path)

    found = onnx_runner.backend(Files(tmp_path, MICRO)).run(INPUTS["micro"])

    assert found.note == "computes in float32 what the file has in float16: so do tinygrad's norms"


def run(recipe: Recipe, precision: Precision, tmp_path: Path, reports: list[tuple[int, int, str]]) -> Parity:
    exported: Exported = export(recipe, WEIGHTS[recipe.name], precision, tmp_path)
    return compare(exported, held_out(recipe), 0, tmp_path, lambda done, total, what: reports.append((done, total, what)))


def test_a_comparison_says_who_ran_and_who_did_not_and_how_far_it_is(tmp_path: Path) -> None:
    reports: list[tuple[int, int, str]] = []

    parity = run(MICRO, "int4", tmp_path, reports)

    by_name = {each.backend: each for each in parity.agreements}
    assert parity.passed and parity.reference.startswith("tinygrad CPU ")
    assert by_name["onnxruntime CPU"].reason is None
    assert by_name["tinygrad OnnxRunner CPU"].reason is not None and "MatMulNBits" in by_name["tinygrad OnnxRunner CPU"].reason
    assert by_name["transformers"].reason is not None and "int4" in by_name["transformers"].reason
    assert parity.rounding is not None and parity.rounding.max_abs is not None and parity.rounding.max_abs > 0.01
    assert [done for done, _, _ in reports] == list(range(len(parity.agreements) + 3))
    assert msgspec.json.decode(msgspec.json.encode(parity), type=Parity) == parity


def test_what_a_report_raises_ends_the_comparison(tmp_path: Path) -> None:
    exported = export(MICRO, WEIGHTS["micro"], "float32", tmp_path)

    def stop(done: int, total: int, what: str) -> None:
        raise InterruptedError("the agent ends")

    with pytest.raises(InterruptedError):
        compare(exported, held_out(MICRO), 0, tmp_path, stop)

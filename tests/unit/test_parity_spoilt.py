"""An export whose files or whose rounding are wrong is refused, in the precision in which it was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from compiled import MICRO
from exports import export, held_out, lively_weights

from agents.exporter import quantize
from agents.exporter.parity.backends import onnx_runner, onnx_runtime, tinygrad_model
from agents.exporter.parity.backends.onnx_files import Files
from agents.exporter.parity.compare import compare, measured
from agents.exporter.parity.gates import gates, rotary_gate, rounding_gate
from agents.exporter.parity.prompts import draw
from agents.exporter.parity.tables import rotary_error, worst_rounding
from agents.exporter.quantize import Floats, Quantized
from agents.parts.model import initial_weights
from schemas.export import Parity, Precision

FEW = 100
"""Tokens that the held-out sample has; there are more."""


def compared(precision: Precision, folder: Path, spoil: Callable[[Path], None] | None = None) -> Parity:
    exported = export(MICRO, lively_weights(MICRO), precision, folder)
    if spoil:
        spoil(folder)
    tokens, targets = held_out(MICRO)
    return compare(exported, (tokens % FEW, targets), 0, folder, lambda done, total, what: None)


def failed(parity: Parity) -> set[str]:
    return {gate.measure for gate in parity.gates if not gate.passed}


def stored(folder: Path, name: str) -> np.memmap[tuple[int], np.dtype[np.uint8]]:
    """The bytes of the tensor whose name begins so, in the file of the decoder's data, to be written to."""
    tensors = ir.load(folder / "model.onnx").graph.initializers
    tensor = next(value.const_value for key, value in tensors.items() if key.startswith(name))
    assert isinstance(tensor, ir.ExternalTensor) and tensor.length is not None
    return np.memmap(folder / "model.onnx.data", np.uint8, "r+", tensor.offset or 0, (tensor.length,))


def with_dead_rows_of_the_head(folder: Path, rows: int) -> None:
    codes = stored(folder, "lm_head.weight_Q").reshape(MICRO.vocabulary, -1)
    codes[FEW - rows : FEW] = 0x80 if codes.shape[1] == MICRO.width else 0x88


def with_other_rows_of_the_embedding(folder: Path) -> None:
    table = stored(folder, "model.embed_tokens").view(np.float32).reshape(MICRO.vocabulary, MICRO.width)
    table[FEW:] *= -1


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_right_blocks_pass(precision: Precision, tmp_path: Path) -> None:
    assert compared(precision, tmp_path).passed


@pytest.mark.parametrize(("precision", "rows"), [("int8", 16), ("int4", 4)])
def test_dead_rows_of_the_head_are_found_in_what_is_predicted(precision: Precision, rows: int, tmp_path: Path) -> None:
    """Fewer in int4: in int8 onnxruntime rounds on the way, and four rows of 256 are not to be told from that."""
    assert failed(compared(precision, tmp_path, lambda folder: with_dead_rows_of_the_head(folder, rows))) >= {"top1", "kl"}


def test_rows_of_the_embedding_that_the_held_out_text_does_not_meet_are_met(tmp_path: Path) -> None:
    parity = compared("float32", tmp_path, with_other_rows_of_the_embedding)

    assert failed(parity) >= {"max_abs", "top1"}
    changes = [each.perplexity_change for each in parity.agreements if each.backend == "onnxruntime CPU"]
    assert changes == [pytest.approx(0.0, abs=1e-6)]


def without_its_data(folder: Path) -> None:
    (folder / "model.onnx.data").write_bytes(b"")


def test_files_that_no_program_can_read_are_refused_with_the_first_that_failed(tmp_path: Path) -> None:
    export(MICRO, lively_weights(MICRO), "float32", tmp_path)
    without_its_data(tmp_path)
    inputs, files = draw(MICRO, held_out(MICRO), seed=0), Files(tmp_path, MICRO)
    reference = tinygrad_model.backend(MICRO, lively_weights(MICRO), "CPU").run(inputs)

    found = [measured(each, inputs, reference) for each in (*onnx_runtime.backends(files), onnx_runner.backend(files))]

    assert all(each.broke and each.reason for each in found)
    held = {gate.measure: gate for gate in gates(found, "float32", heldout=True)}
    assert not held["broke"].passed and held["broke"].worst == len(found) and held["broke"].backend == found[0].backend


def test_logits_of_another_shape_are_a_failure(tmp_path: Path) -> None:
    backend = tinygrad_model.backend(MICRO, lively_weights(MICRO), "CPU")
    inputs = draw(MICRO, None, seed=0)
    reading = backend.run(inputs)
    narrow = replace(backend, run=lambda _: replace(reading, logits=reading.logits[..., :-1]))

    found = measured(narrow, inputs, reading)

    assert found.broke and "the reference's have" in str(found.reason)


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "int8", "int4"])
def test_what_rounds_as_it_should_keeps_its_limit_twice_over(precision: Precision, tmp_path: Path) -> None:
    for weights in (initial_weights(MICRO, 0), lively_weights(MICRO)):
        name, error = worst_rounding(export(MICRO, weights, precision, tmp_path).rounded, weights)
        (tmp_path / "model.safetensors").unlink()

        assert error is not None and rounding_gate(precision, name, 2 * error).passed


@pytest.mark.parametrize("factor", [0.0, -1.0])
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_scales_that_are_wrong_are_refused(precision: Precision, factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = quantize.quantized

    def wrong(rows: Floats, bits: int, size: int, symmetric: bool) -> Quantized:
        made = right(rows, bits, size, symmetric)
        # What stands for the same codes under other scales: the rows times the factor.
        return replace(made, blocks=made.blocks * np.float32(factor), scales=made.scales * np.float32(factor))

    monkeypatch.setattr(quantize, "quantized", wrong)

    assert "rounding_error" in failed(compared(precision, tmp_path))


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_the_tables_of_rotation_are_their_formula(precision: Precision, tmp_path: Path) -> None:
    export(MICRO, initial_weights(MICRO, 0), precision, tmp_path)

    assert rotary_gate(precision, "model.onnx", rotary_error(Files(tmp_path, MICRO))).passed


@pytest.mark.parametrize("table", ["cosines", "sines"])
def test_another_table_of_rotation_is_refused_where_no_text_reaches(table: str, tmp_path: Path) -> None:
    export(MICRO, initial_weights(MICRO, 0), "float32", tmp_path)
    numbers = stored(tmp_path, table).view(np.float32).reshape(MICRO.positions, -1)
    numbers[MICRO.positions // 2 :] = np.random.default_rng(0).uniform(-1, 1, numbers[MICRO.positions // 2 :].shape)
    numbers.flush()

    assert not rotary_gate("float32", "model.onnx", rotary_error(Files(tmp_path, MICRO))).passed

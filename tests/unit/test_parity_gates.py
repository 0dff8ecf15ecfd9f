"""Each gate fails when it must, and for nothing else."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from agents.exporter.parity.gates import MUST_RUN, ROUNDING, gates, passed, rotary_gate, rounding_gate
from schemas.export import Agreement, Precision

GOOD = Agreement(
    backend=MUST_RUN,
    reads="onnx",
    version="1",
    max_abs=9e-4,
    mean_abs=1e-5,
    kl=1e-4,
    top1=0.99,
    perplexity=2.0,
    perplexity_change=-0.01,
    greedy_same=1.0,
)
OTHER = replace(GOOD, backend="other", reads="safetensors", max_abs=0.0, top1=1.0, perplexity_change=0.0)
NOT_RUN = Agreement(backend=MUST_RUN, reads="onnx", version="1", reason="no kernel")

BAD = [
    ("max_abs", 1e-3),
    ("top1", 0.989),
    ("kl", 1.1e-4),
    ("perplexity_change", 0.0101),
    ("perplexity_change", -0.0101),
    ("greedy_same", 0.99),
]


def failed(agreements: list[Agreement], precision: Precision = "float32", heldout: bool = True) -> dict[str, str]:
    """The measures of the gates that fail, and who failed them."""
    return {gate.measure: gate.backend for gate in gates(agreements, precision, heldout) if not gate.passed}


def test_figures_at_their_limits_pass() -> None:
    assert failed([GOOD, OTHER]) == {}
    assert passed(gates([GOOD, OTHER], "float32", heldout=True))


@pytest.mark.parametrize(("measure", "value"), BAD)
def test_a_gate_fails_for_the_one_backend_that_is_worse_than_its_limit(measure: str, value: float) -> None:
    assert failed([GOOD, replace(OTHER, **{measure: value}), GOOD]) == {measure: "other"}


@pytest.mark.parametrize("measure", [measure for measure, _ in BAD])
@pytest.mark.parametrize("figure", [math.nan, None])
def test_no_gate_passes_without_a_number(measure: str, figure: float | None) -> None:
    found = gates([GOOD, replace(OTHER, **{measure: figure}), GOOD], "float32", heldout=True)

    assert [(gate.measure, gate.worst, gate.backend) for gate in found if not gate.passed] == [(measure, None, "other")]
    assert not passed(found)


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "int8", "int4"])
def test_rounded_models_may_differ_in_their_logits_but_not_in_what_they_predict(precision: Precision) -> None:
    assert failed([replace(GOOD, max_abs=0.5, greedy_same=0.2)], precision) == {}
    assert failed([replace(GOOD, top1=0.89, perplexity_change=0.02)], precision).keys() == {"top1", "perplexity_change"}


def test_int8_may_choose_other_tokens_more_often() -> None:
    assert failed([replace(GOOD, top1=0.9, kl=0.005)], "int8") == {}
    assert failed([replace(GOOD, kl=0.0051)], "int8").keys() == {"kl"}
    assert failed([replace(GOOD, top1=0.95)], "int4").keys() == {"top1"}


def test_a_program_that_failed_fails_the_export_and_one_that_cannot_run_does_not() -> None:
    assert failed([GOOD, replace(NOT_RUN, backend="absent"), OTHER]) == {}
    assert failed([GOOD, replace(NOT_RUN, backend="other", broke=True), OTHER]) == {"broke": "other"}


@pytest.mark.parametrize("precision", list(ROUNDING))
def test_rounding_has_a_limit(precision: Precision) -> None:
    limit = ROUNDING[precision]

    assert rounding_gate(precision, "lm_head.weight", limit).passed
    assert not rounding_gate(precision, "lm_head.weight", 1.01 * limit).passed
    assert not rounding_gate(precision, "lm_head.weight", None).passed


def test_tables_that_are_none_pass_no_gate() -> None:
    assert rotary_gate("float32", "model.onnx", 1e-7).passed
    assert not any(rotary_gate("float32", "model.onnx", error).passed for error in (None, 1e-5))


def test_without_held_out_text_nothing_asks_for_its_perplexity() -> None:
    assert failed([replace(GOOD, perplexity=None, perplexity_change=None)], heldout=False) == {}


def test_nothing_passes_where_nothing_ran() -> None:
    assert failed([NOT_RUN]) == {"onnx_ran": MUST_RUN}
    assert not passed(gates([], "float32", heldout=True)) and not passed([])


def test_others_cannot_stand_in_for_who_must_run_the_onnx_files() -> None:
    assert failed([NOT_RUN, replace(OTHER, reads="onnx")]) == {"onnx_ran": MUST_RUN}


def test_in_bfloat16_any_program_that_runs_the_onnx_files_will_do() -> None:
    assert failed([NOT_RUN, replace(OTHER, reads="onnx")], "bfloat16") == {}
    assert failed([NOT_RUN, OTHER], "bfloat16").keys() == {"onnx_ran"}

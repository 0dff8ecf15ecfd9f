"""What every backend must keep for an export to count. Pure: figures in, verdicts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.export import Agreement, Gate, Precision

PERPLEXITY_CHANGE = 0.01
TOP1: dict[Precision, float] = {"float32": 0.99, "float16": 0.99, "bfloat16": 0.99, "int8": 0.9, "int4": 0.99}
"""Least share of equal choices. In int8 onnxruntime rounds what meets the weights to int8 too, which turns more near choices around."""
KL: dict[Precision, float] = {"float32": 1e-4, "float16": 1e-4, "bfloat16": 1e-4, "int8": 0.005, "int4": 1e-4}
"""Nats, in the mean; int8 as above."""
ROUNDING: dict[Precision, float] = {"float16": 0.002, "bfloat16": 0.01, "int8": 0.03, "int4": 0.35}
"""Of the weight that is rounded worst, relative: a bound for what is wrong, and no measure of what is good."""
ROTARY: dict[Precision, float] = {"float32": 1e-6, "float16": 3e-4, "bfloat16": 2e-3, "int8": 1e-6, "int4": 1e-6}
"""Of cosines and sines: half of the distance between the numbers below 1 that the tables are stored as, and a little."""
MAX_ABS = 1e-3
"""Of logits, in float32 only: elsewhere numbers are rounded on the way, by each program in its own places."""

MUST_RUN, WITHOUT_KERNELS = "onnxruntime CPU", "bfloat16"
"""The backend that must have run, but in the one precision for which onnxruntime 1.32.0 has no kernels there: then any with ONNX."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Of a field of Agreement: the one that `badness` puts last is the worst, and must keep the limit as `keeps` says."""

    measure: str
    limit: float
    badness: Callable[[float], float]
    keeps: Callable[[float, float], bool]


def gates(agreements: Sequence[Agreement], precision: Precision, heldout: bool) -> list[Gate]:
    """Whether a program ran the ONNX files and none failed, and each limit over all that ran. A figure that is missing passes no gate.

    `heldout`: there was held-out text, so every backend has a perplexity.
    """
    ran = [each for each in agreements if each.reason is None]
    return [
        _onnx_ran(agreements, precision),
        _broke(agreements),
        *([_gate(limit, ran) for limit in _limits(precision, heldout)] if ran else []),
    ]


def rounding_gate(precision: Precision, weight: str, error: float | None) -> Gate:
    """Of the worst weight."""
    return _files_gate("rounding_error", ROUNDING[precision], error, weight)


def rotary_gate(precision: Precision, file: str, error: float | None) -> Gate:
    """Of the tables in a file."""
    return _files_gate("rotary", ROTARY[precision], error, file)


def passed(gates: Sequence[Gate]) -> bool:
    """Whether all hold; where nothing was measured nothing is proved."""
    return bool(gates) and all(gate.passed for gate in gates)


def _onnx_ran(agreements: Sequence[Agreement], precision: Precision) -> Gate:
    """Others could agree about weights that no program can run from the ONNX files."""
    wanted = [each for each in agreements if each.reads == "onnx" and (each.backend == MUST_RUN or precision == WITHOUT_KERNELS)]
    ran = [each.backend for each in wanted if each.reason is None]
    named = ", ".join(ran or [each.backend for each in wanted])
    return Gate(measure="onnx_ran", limit=1.0, worst=float(len(ran)), backend=named, passed=bool(ran))


def _broke(agreements: Sequence[Agreement]) -> Gate:
    """A program that could run and failed has found something."""
    broken = [each.backend for each in agreements if each.broke]
    return Gate(measure="broke", limit=0.0, worst=float(len(broken)), backend=broken[0] if broken else "none", passed=not broken)


def _files_gate(measure: str, limit: float, worst: float | None, what: str) -> Gate:
    return Gate(measure=measure, limit=limit, worst=worst, backend=what, passed=worst is not None and worst <= limit)


def _limits(precision: Precision, heldout: bool) -> list[Limit]:
    limits = [
        Limit("top1", TOP1[precision], lambda share: -share, lambda share, limit: share >= limit),
        Limit("kl", KL[precision], abs, lambda divergence, limit: divergence <= limit),
    ]
    if heldout:
        limits.append(Limit("perplexity_change", PERPLEXITY_CHANGE, abs, lambda change, limit: abs(change) <= limit))
    if precision == "float32":
        limits.append(Limit("max_abs", MAX_ABS, abs, lambda difference, limit: difference < limit))
        limits.append(Limit("greedy_same", 1.0, lambda share: -share, lambda share, limit: share >= limit))
    return limits


def _gate(limit: Limit, ran: Sequence[Agreement]) -> Gate:
    figures: list[tuple[float | None, str]] = [(getattr(each, limit.measure), each.backend) for each in ran]
    for figure, backend in figures:
        if figure is None or figure != figure:  # NaN, which no comparison would find
            return Gate(measure=limit.measure, limit=limit.limit, worst=None, backend=backend, passed=False)
    worst, backend = max(((figure, backend) for figure, backend in figures if figure is not None), key=lambda pair: limit.badness(pair[0]))
    return Gate(measure=limit.measure, limit=limit.limit, worst=worst, backend=backend, passed=limit.keeps(worst, limit.limit))

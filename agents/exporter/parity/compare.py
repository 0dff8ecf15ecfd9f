"""Compares an exported model with its reference in every program that can run it here."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.exporter.parity.backends import onnx_runner, onnx_runtime, tinygrad_model, transformers_child
from agents.exporter.parity.backends.onnx_files import Files
from agents.exporter.parity.backends.tinygrad_model import REFERENCE, Weights
from agents.exporter.parity.gates import MAX_ABS, gates, passed, rotary_gate, rounding_gate
from agents.exporter.parity.measures import change, divergence, same_rows
from agents.exporter.parity.prompts import Batch, Inputs, draw
from agents.exporter.parity.readings import Backend, Broke, DidNotRun, Reading
from agents.exporter.parity.tables import rotary_error, worst_rounding
from agents.parts.recipes import Recipe
from schemas.export import Agreement, Gate, Parity, Started

Report = Callable[[int, int, str], None]
"""Is told before each backend how many are done, of how many, and which comes next. What it raises ends the comparison."""
REASON = 500
"""Characters of an error's message that are published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The model in `folder`, as `started` announced it. `rounded` are the numbers that it computes with, `own` the checkpoint's.

    `own` is null where the export rounds nothing. Both are read a weight at a time, twice where it rounds.
    """

    started: Started
    recipe: Recipe
    folder: Path
    rounded: Weights
    own: Weights | None


def compare(exported: Exported, heldout: Batch | None, seed: int, checkout: Path, report: Report) -> Parity:
    """What every backend makes of the same text, and whether each keeps the gates. `checkout` is where .venvs/judge may be.

    Raises BadHeldout, NoDevice, and what the reference or `report` raise; what keeps another backend from running is its `reason`.
    """
    inputs = draw(exported.recipe, heldout, seed)
    reference, *others = backends(exported, checkout)
    total = len(others) + (1 if exported.own is None else 2)
    report(0, total, reference.name)
    reading, seconds = _timed(reference, inputs)
    rounding = None
    if exported.own is not None:
        report(1, total, f"{reference.name}, not rounded")
        own = tinygrad_model.backend(exported.recipe, exported.own, REFERENCE).run(inputs)
        rounding = agreement(reference, reading, own, seconds)
    agreements = []
    for done, backend in enumerate(others, total - len(others)):
        report(done, total, backend.name)
        agreements.append(measured(backend, inputs, reading))
    report(total, total, "gates")
    held = [*gates(agreements, exported.started.precision, heldout=heldout is not None), *_files_gates(exported, agreements)]
    return _parity(exported, inputs, seed, reference, reading, agreements, rounding, held)


def backends(exported: Exported, checkout: Path) -> list[Backend]:
    """All that may run here, the reference first. Raises NoDevice."""
    recipe, weights = exported.recipe, exported.rounded
    files = Files(exported.folder, recipe)
    features = functools.partial(tinygrad_model.features, recipe, weights) if recipe.vision else None
    reference, *others = [tinygrad_model.backend(recipe, weights, device) for device in tinygrad_model.devices()]
    return [
        reference,
        *onnx_runtime.backends(files),
        onnx_runner.backend(files),
        *others,
        transformers_child.backend(exported.folder, exported.started.precision, checkout, features),
    ]


def agreement(backend: Backend, reading: Reading, reference: Reading, seconds: float) -> Agreement:
    """How a reading agrees with the reference's. Raises ValueError where they have not the same shapes."""
    apart = divergence(reading.beside(reference))
    if reference.margins is None:
        raise ValueError("the reference has no margins: its continuations are to be recomputed")
    return Agreement(
        backend=backend.name,
        reads=backend.reads,
        version=backend.version,
        max_abs=apart.max_abs,
        mean_abs=apart.mean_abs,
        kl=apart.kl,
        top1=apart.top1,
        perplexity=reading.perplexity,
        perplexity_change=change(reading.perplexity, reference.perplexity),
        greedy_same=same_rows(reading.continuations, reference.continuations, reference.margins, 2 * MAX_ABS),
        cached=reading.cached,
        cache_max_abs=reading.cache_max_abs,
        seconds=seconds,
        note=reading.note,
    )


def measured(backend: Backend, inputs: Inputs, reference: Reading) -> Agreement:
    """How what `backend` computes agrees with the reference, or why it computes nothing."""
    try:
        reading, seconds = _timed(backend, inputs)
        return agreement(backend, reading, reference, seconds)
    except Exception as error:  # whatever a library or a driver says: it is the result
        reason = str(error) if isinstance(error, DidNotRun | Broke) else f"{type(error).__name__}: {error}"
        return Agreement(
            backend=backend.name,
            reads=backend.reads,
            version=backend.version,
            reason=reason[:REASON],
            broke=not isinstance(error, DidNotRun),
        )


def _files_gates(exported: Exported, agreements: list[Agreement]) -> list[Gate]:
    """Of what the files hold. Where no program could read the ONNX files nothing is asked of them: that is a gate of its own."""
    precision, files = exported.started.precision, Files(exported.folder, exported.recipe)
    held = [] if exported.own is None else [rounding_gate(precision, *worst_rounding(exported.rounded, exported.own))]
    if any(each.reads == "onnx" and each.reason is None for each in agreements):
        held.append(rotary_gate(precision, files.decoder.name, rotary_error(files)))
    return held


def _timed(backend: Backend, inputs: Inputs) -> tuple[Reading, float]:
    began = time.perf_counter()
    return backend.run(inputs), time.perf_counter() - began


def _parity(
    exported: Exported,
    inputs: Inputs,
    seed: int,
    reference: Backend,
    reading: Reading,
    agreements: list[Agreement],
    rounding: Agreement | None,
    held: list[Gate],
) -> Parity:
    return Parity(
        export=exported.started.export,
        recipe=exported.started.recipe,
        checkpoint=exported.started.checkpoint,
        step=exported.started.step,
        precision=exported.started.precision,
        reference=f"{reference.name} {reference.version}",
        prompts=len(inputs.prompts.tokens),
        length=inputs.size.length,
        continued=inputs.size.continued,
        seed=seed,
        heldout_tokens=reading.heldout.targets if reading.heldout else None,
        perplexity=reading.perplexity,
        agreements=agreements,
        rounding=rounding,
        gates=held,
        passed=passed(held),
    )

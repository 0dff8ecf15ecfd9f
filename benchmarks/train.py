"""How fast the trainer is: tokens a second of `tiny`, and its FLOP/s beside the machine's matrix peak as numpy reaches it on one core."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # tinygrad's CPU device has one thread as well

import numpy as np

from agents.parts.model import initial_weights
from agents.parts.recipes import RECIPES
from agents.trainer.compiler import open_device
from agents.trainer.implementations import implementation_for
from agents.trainer.learner import Learner
from agents.trainer.plan import Settings, make_plan
from agents.trainer.state import State
from benchmarks._results import Figures, report
from schemas.train import Start

RECIPE = "tiny"
ROUNDS = 5
STEPS = 20
MATRIX = 1024


def main() -> None:
    began = time.perf_counter()
    device = open_device()
    recipe, hyper = RECIPES[RECIPE], make_plan(Start(recipe=RECIPE), Settings()).hyper
    learner = Learner(recipe, hyper, implementation_for(device), State.begun(initial_weights(recipe, hyper.seed)))
    generator = np.random.default_rng(0)
    shape = (hyper.batch, hyper.context)
    batches = itertools.repeat([(generator.integers(0, 256, shape).astype(np.int32), generator.integers(0, 256, shape).astype(np.int32))])
    learner.step(next(batches), 1e-3)
    first_step = time.perf_counter() - began
    learner.step(next(batches), 1e-3)  # the second step is still captured, not replayed
    rows: list[Figures] = []
    for number in range(ROUNDS):
        peak = matrix_peak(generator)
        seconds = timed(lambda: learner.step(next(batches), 1e-3), STEPS)
        tokens = hyper.batch * hyper.context / seconds
        flops = tokens * recipe.flops_per_token
        rows.append(
            {
                "round": number + 1,
                "tokens/s": tokens,
                "GFLOP/s": flops / 1e9,
                "numpy peak GFLOP/s": peak / 1e9,
                "share of peak": flops / peak,
                "first step s": first_step,
            }
        )
    report("train", rows)


def timed(action: Callable[[], object], times: int) -> float:
    """Mean seconds of one call."""
    began = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - began) / times


def matrix_peak(generator: np.random.Generator) -> float:
    """FLOP/s of a product of two float32 matrices."""
    a, b = (generator.standard_normal((MATRIX, MATRIX)).astype(np.float32) for _ in range(2))
    return 2 * MATRIX**3 / timed(lambda: a @ b, 10)


if __name__ == "__main__":
    main()

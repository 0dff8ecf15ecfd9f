"""Ours: the trainer's Learner with what its table has for the device. `python -m benchmarks.trainers.ours JOB`."""

from __future__ import annotations

import itertools
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
from tinygrad.helpers import Context

from agents.parts import safetensors
from agents.parts.compiler import open_device
from agents.parts.recipes import recipe_named, shapes
from agents.trainer.devices import implementation_for
from agents.trainer.learner import Learner
from agents.trainer.state import State
from benchmarks.trainers.job import Job
from benchmarks.trainers.stages import implementation_at, jit_at
from benchmarks.trainers.turns import Turns


def main() -> None:
    turns = Turns()
    job = msgspec.json.decode(sys.argv[1], type=Job)
    given, _ = safetensors.decode(Path(job.given).read_bytes())
    device = open_device()
    recipe = recipe_named(job.hyper.recipe)
    weights = {name: given[name] for name in shapes(recipe)}
    implementation = implementation_for(device) if job.stage is None else implementation_at(job.stage)
    learner = Learner(recipe, job.hyper, implementation, State.begun(weights))
    batches = itertools.cycle(list(zip(given["tokens"], given["targets"], strict=True)))
    rates = itertools.chain(given["rates"].tolist(), itertools.repeat(float(given["rates"][-1])))

    def work(steps: int) -> list[float]:
        with Context(JIT=jit_at(job.stage)):
            return [learner.step([next(batches)], next(rates))[0] for _ in range(steps)]

    turns.take(work, device, {"tinygrad": version("tinygrad")})


if __name__ == "__main__":
    main()

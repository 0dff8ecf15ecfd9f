"""Starts the contenders of `benchmarks.generate` over one exported model and lets them write in turns: while one works, the other waits."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from agents.exporter.source import Source, open_weights
from agents.exporter.tensors import storage_for
from agents.exporter.writing import write_folder
from agents.parts import safetensors
from agents.parts.model import initial_weights
from agents.parts.recipes import Recipe
from benchmarks._processes import Stage, stage
from benchmarks._training import PAUSE, THREADS
from benchmarks.exporters.job import TOKENS
from benchmarks.generators.job import Job, Turn
from schemas.export import Precision

GENAI, OURS = "onnxruntime-genai", "ours"
MODULES = {GENAI: "benchmarks.generators.genai", OURS: "benchmarks.generators.ours"}
TURN_TIMEOUT = 120.0
SEED = 0
"""Of the weights and the prompt: how fast a model is does not depend on what it has learnt."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is exported. Half of its context is the prompt, the other half is written: onnxruntime-genai goes no further."""

    recipe: Recipe
    precision: Precision

    @property
    def prompt(self) -> int:
        return self.recipe.context // 2

    @property
    def tokens(self) -> int:
        return self.recipe.context - self.prompt


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` in which each contender has a turn of about `seconds` with each model."""

    models: tuple[Model, ...]
    rounds: int
    seconds: float


class Entrant:
    """A contender's process, and its answers."""

    def __init__(self, opened: Stage, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        self._child = opened.start(name, command, environment, speaks=True)
        self._texts = 1
        self.turns: list[Turn] = []

    @property
    def pid(self) -> int:
        return self._child.pid

    def settle(self, seconds: float) -> None:
        """Find out how many texts make a turn of `seconds`; the first one is slower than the others."""
        self._write()
        turn = self._write()
        self._texts = max(1, round(seconds / (turn.first + turn.later)))

    def take_turn(self) -> None:
        time.sleep(PAUSE)
        self.turns.append(self._write())

    def _write(self) -> Turn:
        self._child.tell(str(self._texts))
        return self._child.read(Turn, TURN_TIMEOUT)


def write_in_turns(model: Model, plan: Plan) -> dict[str, list[Turn]]:
    """What each contender answered in each round. Raises ChildFailed."""
    with tempfile.TemporaryDirectory(prefix="zp-bench-") as folder, stage(Path(folder)) as opened:
        export(Path(folder), model)
        prompt = np.random.default_rng(SEED).integers(0, model.recipe.vocabulary, model.prompt).tolist()
        job = Job(folder=folder, prompt=prompt, tokens=model.tokens, threads=THREADS)
        entrants = {name: Entrant(opened, name, command(sys.executable, module, job), {}) for name, module in MODULES.items()}
        return rounds(entrants, plan.rounds, plan.seconds, f"{model.recipe.name} in {model.precision}")


def command(python: str, module: str, job: Job) -> list[str]:
    """What starts a contender with its job."""
    return [python, "-m", module, msgspec.json.encode(job).decode()]


def rounds(entrants: Mapping[str, Entrant], count: int, seconds: float, what: str) -> dict[str, list[Turn]]:
    """Let each write for about `seconds` in each round. Raises ChildFailed."""
    for entrant in entrants.values():
        entrant.settle(seconds)
    for number in range(count):
        sys.stderr.write(f"{what}: round {number + 1} of {count}\n")
        for entrant in entrants.values():
            entrant.take_turn()
    return {name: entrant.turns for name, entrant in entrants.items()}


def export(folder: Path, model: Model) -> None:
    """Write the files that both contenders read, with random weights."""
    weights = folder / "weights.safetensors"
    weights.write_bytes(safetensors.encode(initial_weights(model.recipe, SEED), {"format": "pt"}))  # transformers wants to be told
    source = Source(recipe=model.recipe, files=(weights,), weights=open_weights((weights,), model.recipe), checkpoint="0" * 64, facts={})
    write_folder(source, TOKENS, storage_for(model.precision), folder, lambda done, total, what: None)

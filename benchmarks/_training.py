"""Starts the contenders of `benchmarks.train` and lets them train in turns: while one works, all others wait at their pipes."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from agents.parts import safetensors
from agents.parts.model import initial_weights
from agents.parts.recipes import Recipe
from agents.trainer.data.text import open_text
from agents.trainer.data.tokens import Choice
from agents.trainer.plan import Settings, make_plan
from agents.trainer.schedule import learning_rate
from benchmarks._processes import Stage, stage
from benchmarks.trainers.job import Job, Shape
from schemas.train import Hyperparameters, Start

PYTORCH, COMPILED, OURS = "PyTorch", "PyTorch, torch.compile", "ours"
TORCH_PRODUCT, NUMPY_PRODUCT, OUR_PRODUCT = PRODUCTS = ("torch.mm", "numpy @", "our product")

BATCHES = 256
"""Different batches; after them they come again."""
TURN_TIMEOUT = 600.0
"""The first step of a contender compiles."""
PAUSE = 0.3
"""Seconds before each turn, until OpenMP's threads of the one before have stopped looking for more work."""
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Turn(Struct, frozen=True, kw_only=True):
    """What a contender answers: `seconds` for the steps of one turn, and the peak of its own memory so far, in bytes."""

    seconds: float
    losses: list[float]
    peak_rss: int
    device: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` in which each contender has a turn of about `seconds`. `agreeing`: first steps, whose losses are compared.

    `product`: rows and columns of the matrices that are multiplied to see what the machine can do. `compiled`: also torch.compile.
    """

    recipes: tuple[str, ...]
    rounds: int
    seconds: float
    agreeing: int
    product: int
    compiled: bool


@dataclass(slots=True)
class Trained:
    """What one contender did. `cold` and `warm`: seconds from its start to the end of its first step, by what was compiled before.

    `losses` of its first steps, `seconds` of one step (of `torch.mm` and numpy: one product) in each round, `last` its last answer.
    """

    losses: list[float]
    last: Turn
    cold: float | None = None
    warm: float | None = None
    seconds: list[float] = field(default_factory=list)


class Entrant:
    """A contender's process."""

    def __init__(self, opened: Stage, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        began = time.perf_counter()
        self._child = opened.start(name, command, environment, speaks=True)
        first = self._train(1)
        self.first_seconds = time.perf_counter() - began
        self.trained = Trained(first.losses, first)
        self._steps = 1

    def settle(self, steps: int, seconds: float) -> None:
        """Take the first `steps`, and find out how many make a turn of `seconds`."""
        self.trained.losses += self._train(steps - 1).losses
        self._steps = max(2, round(2 * seconds / self._train(2).seconds))

    def take_turn(self) -> None:
        time.sleep(PAUSE)
        self.trained.last = self._train(self._steps)
        self.trained.seconds.append(self.trained.last.seconds / self._steps)

    def _train(self, steps: int) -> Turn:
        self._child.tell(str(steps))
        return self._child.read(Turn, TURN_TIMEOUT)


def train_in_turns(recipe: Recipe, plan: Plan, judge: Path) -> dict[str, Trained]:
    """What each contender did. Raises ChildFailed."""
    with tempfile.TemporaryDirectory(prefix="zp-bench-") as folder, stage(Path(folder)) as opened:
        entrants = _gather(opened, Path(folder), recipe, plan, judge)
        for entrant in entrants.values():
            entrant.settle(plan.agreeing, plan.seconds)
        for number in range(plan.rounds):
            sys.stderr.write(f"{recipe.name}: round {number + 1} of {plan.rounds}\n")
            for entrant in entrants.values():
                entrant.take_turn()
        return {name: entrant.trained for name, entrant in entrants.items()}


def lacking() -> str | None:
    """Why torch.compile cannot take part here, None where it can: it calls a C++ compiler, as PyTorch chooses it."""
    compiler = os.environ.get("CXX", "g++")
    return None if shutil.which(shlex.split(compiler)[-1]) else f"{COMPILED}: there is no {compiler}: apt install g++, or name one: CXX=…"


def trainers(recipe: Recipe, folder: Path, judge: Path, *, compiled: bool) -> dict[str, list[str]]:
    """Their commands. All start with the same weights and learn from the same batches of Python's standard library."""
    hyper = make_plan(Start(recipe=recipe.name), Settings()).hyper
    shape = Shape(**{name: getattr(recipe, name) for name in Shape.__struct_fields__})
    job = Job(shape=shape, hyper=hyper, given=str(write_given(folder / "given", recipe, hyper)))
    jobs = {name: msgspec.json.encode(msgspec.structs.replace(job, compiled=name == COMPILED)).decode() for name in (PYTORCH, COMPILED)}
    loops = {name: [str(judge), "-m", "benchmarks.trainers.torch_loop", text] for name, text in jobs.items() if compiled or name == PYTORCH}
    return {**loops, OURS: [sys.executable, "-m", "benchmarks.trainers.ours", jobs[PYTORCH]]}


def products(judge: Path, size: int) -> dict[str, list[str]]:
    """The commands of what says how much the machine can do."""
    module = ["-m", "benchmarks.trainers.product"]
    pythons = zip(PRODUCTS, (str(judge), sys.executable, sys.executable), ("torch", "numpy", "ours"), strict=True)
    return {name: [python, *module, library, str(size)] for name, python, library in pythons}


def write_given(path: Path, recipe: Recipe, hyper: Hyperparameters) -> Path:
    """Put down the weights that a run begins with, its first batches, and their learning rates."""
    cache = path.parent / "datasets"
    corpus = open_text(None, Choice("bytes"), cache, lambda _: None, batch=hyper.batch, context=hyper.context, seed=hyper.seed)
    tokens, targets = (np.stack(arrays) for arrays in zip(*map(corpus.training_batch, range(BATCHES)), strict=True))
    rates = np.array([learning_rate(step, hyper) for step in range(1, BATCHES + 1)])
    given = {**initial_weights(recipe, hyper.seed), "tokens": tokens, "targets": targets, "rates": rates}
    path.write_bytes(safetensors.encode(given, {}))
    return path


def environment(folder: Path, name: str) -> dict[str, str]:
    """As many threads for each as cores may be used, and caches of its own."""
    cache = folder / f"cache-{''.join(letter if letter.isalnum() else '-' for letter in name)}"  # torch.compile takes no spaces
    threads = {variable: str(THREADS) for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    caches = {
        "XDG_CACHE_HOME": "",
        "CACHEDB": "tinygrad.db",
        "ZIG_GLOBAL_CACHE_DIR": "zig",
        "TORCHINDUCTOR_CACHE_DIR": "inductor",
        "TRITON_CACHE_DIR": "triton",
    }
    return threads | {variable: str(cache / place) for variable, place in caches.items()}


def _gather(opened: Stage, folder: Path, recipe: Recipe, plan: Plan, judge: Path) -> dict[str, Entrant]:
    """Start everybody, one after the other."""
    entrants = {}
    for name, command in trainers(recipe, folder, judge, compiled=plan.compiled and lacking() is None).items():
        sys.stderr.write(f"{recipe.name}: the first step of {name}, three times\n")
        entrants[name] = _enter(opened, name, command, folder)
    for name, command in products(judge, plan.product).items():
        entrants[name] = Entrant(opened, name, command, environment(folder, name))
    return entrants


def _enter(opened: Stage, name: str, command: list[str], folder: Path) -> Entrant:
    """Start it thrice: so that its libraries were read before, with nothing compiled before, and again, to stay."""
    surroundings = environment(folder, name)
    for _ in range(2):
        shutil.rmtree(surroundings["XDG_CACHE_HOME"], ignore_errors=True)
        Path(surroundings["XDG_CACHE_HOME"]).mkdir()
        with stage(folder) as alone:
            cold = Entrant(alone, name, command, surroundings).first_seconds
    entrant = Entrant(opened, name, command, surroundings)
    entrant.trained.cold, entrant.trained.warm = cold, entrant.first_seconds
    return entrant

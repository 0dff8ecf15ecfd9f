"""Makes tinygrad quick to compile: import it before tinygrad. Kernels stay unoptimised and nothing is cached outside the test's process."""

import dataclasses
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHECKOUT = hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]
_CACHE = Path(tempfile.gettempdir()) / f"zeropoint-tests-{os.getuid()}-{_CHECKOUT}"

os.environ.setdefault("NOOPT", "1")
os.environ.setdefault("CACHELEVEL", "0")  # tinygrad's cache belongs to one thread, and every agent under test has its own
os.environ.setdefault("XDG_CACHE_HOME", str(_CACHE))
os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(_CACHE / "zig"))

# ruff: noqa: E402  # tinygrad reads its environment when it is imported
from agents.parts.model import initial_weights
from agents.parts.recipes import RECIPES, Recipe, Vision
from agents.trainer.compiler import open_device
from agents.trainer.devices import implementation_for
from agents.trainer.implementation import Implementation
from agents.trainer.learner import Learner
from agents.trainer.plan import Settings, make_plan
from agents.trainer.state import State
from schemas.train import Hyperparameters, Start

DEVICE = open_device()
MICRO = RECIPES["micro"]
SEEING = dataclasses.replace(MICRO, name="seeing", context=9, vision=Vision(image=16, patch=4, width=24, layers=2, heads=3, ffn=40))
"""`micro` with eyes."""


def hyperparameters(steps: int = 1000, seed: int = 0, learning_rate: float | None = None) -> Hyperparameters:
    """Those of a run of `micro`."""
    settings = Settings(precision="float32")
    return make_plan(Start(recipe="micro", steps=steps, seed=seed, learning_rate=learning_rate), settings).hyper


def learner(hyper: Hyperparameters, recipe: Recipe = MICRO, implementation: Implementation | None = None) -> Learner:
    """One that has not learnt anything, by default on what this machine's device computes with."""
    return Learner(recipe, hyper, implementation or implementation_for(DEVICE), State.begun(initial_weights(recipe, hyper.seed)))


def batch(seed: int = 0, recipe: Recipe = MICRO) -> tuple[NDArray[Any], ...]:
    """Random tokens of one batch of `recipe` and the ones that follow, behind random pictures where it sees."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, recipe.vocabulary, (recipe.batch, recipe.context + 1)).astype(np.int32)
    text = np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])
    if recipe.vision is None:
        return text
    size = recipe.vision.image
    return generator.integers(0, 256, (recipe.batch, size, size, 3)).astype(np.uint8), *text

"""The recipes that unit tests compile, with learners and batches of them; tests/conftest.py says how tinygrad compiles."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.parts.compiler import open_device
from agents.parts.model import initial_weights
from agents.parts.recipes import RECIPES, Recipe, Vision
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

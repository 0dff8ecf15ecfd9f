"""What a run is to do, decided before it starts from the command, the settings and the recipe."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from agents.parts.memory import expected_device, room, shortage
from agents.parts.recipes import RECIPES, Recipe, UnknownRecipe, recipe_named
from bus.errors import CommandRefused
from schemas.train import Hyperparameters, Start

BETA1, BETA2, EPSILON = 0.9, 0.95, 1e-8
WEIGHT_DECAY = 0.1
CLIP_NORM = 1.0
"""AdamW and clipping as GPT-3, Llama and nanoGPT train."""
FLOOR = 0.1
"""The last learning rate as a share of the peak."""
WARMUP_STEPS = 50
MOST_STEPS = 10_000_000


class Settings(Struct, frozen=True, kw_only=True):
    """The trainer's settings. `data` is a file or folder (null: Python's standard library), `learning_rate` null: the recipe's.

    The `_every` are in steps, 0: never but at the end.
    """

    autostart: bool = True
    recipe: str = "tiny"
    steps: int = 1000
    seed: int = 0
    data: str | None = None
    learning_rate: float | None = None
    eval_every: int = 100
    sample_every: int = 250
    checkpoint_every: int = 250


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, ready to start."""

    run: str
    recipe: Recipe
    hyper: Hyperparameters
    data: str | None
    eval_every: int
    sample_every: int
    checkpoint_every: int


def make_plan(request: Start, settings: Settings) -> Plan:
    """The run that `request` asks for; what it leaves out comes from the settings. Raises CommandRefused."""
    (recipe,) = recipes_named([settings.recipe if request.recipe is None else request.recipe])
    steps = settings.steps if request.steps is None else request.steps
    seed = settings.seed if request.seed is None else request.seed
    data = settings.data if request.data is None else request.data
    rate = request.learning_rate or settings.learning_rate or recipe.learning_rate
    _refuse_unless(1 <= steps <= MOST_STEPS, f"steps is {steps}: want 1 to {MOST_STEPS}")
    _refuse_unless(0 <= seed < 2**63, f"seed is {seed}: want 0 to 2^63 - 1")
    _refuse_unless(math.isfinite(rate) and 0 < rate <= 1, f"learning_rate is {rate}: want more than 0 and at most 1")
    if recipe.vision and request.data is not None:
        raise CommandRefused("bad_request", f"{recipe.name} renders its own pictures: leave data out")
    if data is not None and not Path(data).expanduser().exists():
        raise CommandRefused("no_data", f"no file or folder {Path(data).expanduser().absolute()}: give an absolute path")
    if reason := shortage(recipe, room(expected_device())):
        raise CommandRefused("no_memory", reason)
    hyper = Hyperparameters(
        recipe=recipe.name,
        steps=steps,
        batch=recipe.batch,
        context=recipe.context,
        learning_rate=rate,
        learning_rate_floor=rate * FLOOR,
        warmup_steps=min(WARMUP_STEPS, steps // 10),
        beta1=BETA1,
        beta2=BETA2,
        epsilon=EPSILON,
        weight_decay=WEIGHT_DECAY,
        clip_norm=CLIP_NORM,
        seed=seed,
    )
    return Plan(new_run_id(), recipe, hyper, data, settings.eval_every, settings.sample_every, settings.checkpoint_every)


def recipes_named(names: Sequence[str] | None) -> tuple[Recipe, ...]:
    """The recipes of these names, None: all there are. Raises CommandRefused."""
    try:
        return tuple(RECIPES.values() if names is None else map(recipe_named, names))
    except UnknownRecipe as error:
        raise CommandRefused("unknown_recipe", str(error)) from error


def new_run_id() -> str:
    """A name that sorts by time (UTC) and differs from others of the same second."""
    return f"run-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def _refuse_unless(condition: bool, message: str) -> None:
    if not condition:
        raise CommandRefused("bad_request", message)

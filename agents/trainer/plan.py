"""What a run is to do, decided before it starts from the command, the settings and the recipe."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from msgspec import Struct

from agents.parts.checkpoint import Content
from agents.parts.memory import expected_device, room, shortage
from agents.parts.recipes import RECIPES, Recipe, UnknownRecipe, recipe_named
from agents.trainer.data.tokens import Choice
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
MOST_BATCHES = 10_000
BYTES = 256
"""Tokens of the bytes tokenizer."""
BPE_TOKENS = 4096
"""Tokens of a BPE for a recipe that was made for bytes; another recipe's own vocabulary stays."""
MOST_TOKENS = 1 << 18


class Settings(Struct, frozen=True, kw_only=True):
    """The trainer's settings. `data` is a file or folder (null: Python's standard library), `learning_rate` null: the recipe's.

    The `_every` are in steps, 0: never but at the end. A step learns from `accumulate` batches. `precision` is a dtype's name (null:
    what the device is best at). After `patience` evaluations without a lower held-out loss a run ends (0: never). Of its checkpoints the
    last `keep_checkpoints` stay, and the best. `threads` on a CPU, null: as many as there are cores.
    `vocabulary` is that of `bpe`.
    """

    autostart: bool = True
    recipe: str = "tiny"
    steps: int = 1000
    seed: int = 0
    data: str | None = None
    learning_rate: float | None = None
    tokenizer: Literal["bytes", "bpe"] = "bytes"
    vocabulary: int | None = None
    eval_every: int = 100
    sample_every: int = 250
    checkpoint_every: int = 250
    accumulate: int = 1
    precision: Literal["float32", "bfloat16"] | None = None
    patience: int = 0
    keep_checkpoints: int = 3
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, ready to start. `parent` is the hash of the JSON of the checkpoint whose weights it starts from."""

    run: str
    recipe: Recipe
    hyper: Hyperparameters
    data: str | None
    tokenizer: Choice
    eval_every: int
    sample_every: int
    checkpoint_every: int
    keep_checkpoints: int
    threads: int | None = None
    parent: str | None = None


def make_plan(request: Start, settings: Settings, parent: Content | None = None) -> Plan:
    """The run that `request` asks for; what it leaves out comes from the settings. Raises CommandRefused.

    `parent` is the checkpoint that it is to start from: its recipe and kind of tokenizer are the run's.
    """
    recipe, tokenizer = _inherited(request, parent) if parent else _chosen(request, settings)
    hyper = _hyperparameters(recipe, request, settings)
    _check(settings)
    data = _data(recipe, request, settings)
    if reason := shortage(recipe, room(expected_device()), settings.accumulate > 1):
        raise CommandRefused("no_memory", reason)
    return Plan(
        run=new_run_id(),
        recipe=recipe,
        hyper=hyper,
        data=data,
        tokenizer=tokenizer,
        eval_every=settings.eval_every,
        sample_every=settings.sample_every,
        checkpoint_every=settings.checkpoint_every,
        keep_checkpoints=settings.keep_checkpoints,
        threads=settings.threads,
        parent=request.checkpoint,
    )


def _inherited(request: Start, parent: Content) -> tuple[Recipe, Choice]:
    """Recipe and tokenizer of the checkpoint that a run is to start from."""
    recipe = parent.recipe
    asked = request.recipe or recipe.name
    _refuse_unless(asked.lower() == recipe.name.lower(), f"the checkpoint is of the recipe {recipe.name}, not {asked}")
    return recipe, Choice("bpe", recipe.vocabulary) if parent.dataset.tokenizer == "bpe" else Choice("bytes")


def _chosen(request: Start, settings: Settings) -> tuple[Recipe, Choice]:
    (recipe,) = recipes_named([request.recipe or settings.recipe])
    return _with_tokenizer(recipe, request, settings)


def _hyperparameters(recipe: Recipe, request: Start, settings: Settings) -> Hyperparameters:
    steps = settings.steps if request.steps is None else request.steps
    seed = settings.seed if request.seed is None else request.seed
    rates = (request.learning_rate, settings.learning_rate, recipe.learning_rate)
    rate = next(each for each in rates if each is not None)
    _refuse_unless(1 <= steps <= MOST_STEPS, f"steps is {steps}: want 1 to {MOST_STEPS}")
    _refuse_unless(0 <= seed < 2**63, f"seed is {seed}: want 0 to 2^63 - 1")
    _refuse_unless(math.isfinite(rate) and 0 < rate <= 1, f"learning_rate is {rate}: want more than 0 and at most 1")
    return Hyperparameters(
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
        accumulate=settings.accumulate,
        precision=settings.precision or "auto",
        patience=settings.patience,
    )


def _check(settings: Settings) -> None:
    """Refuse what only the settings say, and wrongly."""
    _refuse_unless(1 <= settings.accumulate <= MOST_BATCHES, f"accumulate is {settings.accumulate}: want 1 to {MOST_BATCHES}")
    _refuse_unless(settings.patience >= 0, f"patience is {settings.patience}: want 0 or more")
    _refuse_unless(settings.threads is None or settings.threads >= 1, f"threads is {settings.threads}: want 1 or more")
    _refuse_unless(settings.keep_checkpoints >= 1, f"keep_checkpoints is {settings.keep_checkpoints}: want 1 or more")


def _data(recipe: Recipe, request: Start, settings: Settings) -> str | None:
    """The absolute path of the data, so that a run finds it again wherever the appliance is started; None is the default corpus."""
    if recipe.vision and request.data is not None:
        raise CommandRefused("bad_request", f"{recipe.name} renders its own pictures: leave data out")
    named = settings.data if request.data is None else request.data
    if named is None:
        return None
    path = Path(named).expanduser().absolute()
    if not path.exists():
        raise CommandRefused("no_data", f"no file or folder {path}: give an absolute path")
    return str(path)


def _with_tokenizer(recipe: Recipe, request: Start, settings: Settings) -> tuple[Recipe, Choice]:
    """The tokenizer that is asked for, and the recipe with its vocabulary. Raises CommandRefused."""
    if recipe.vision:
        return recipe, Choice("bytes")  # captions have a token for each of their words
    kind = settings.tokenizer if request.tokenizer is None else request.tokenizer
    asked = settings.vocabulary if request.vocabulary is None and kind == settings.tokenizer else request.vocabulary
    if kind == "bytes":
        _refuse_unless(asked in (None, BYTES), f"vocabulary is {asked}: bytes are {BYTES} tokens; for more of them, tokenizer is bpe")
        return recipe, Choice("bytes")
    usual = recipe.vocabulary if recipe.vocabulary != BYTES else BPE_TOKENS
    vocabulary = usual if asked is None else asked
    _refuse_unless(BYTES < vocabulary <= MOST_TOKENS, f"vocabulary is {vocabulary}: want {BYTES + 1} to {MOST_TOKENS} for bpe")
    return replace(recipe, vocabulary=vocabulary), Choice("bpe", vocabulary)


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

"""What a recipe would take here, and one real step of it where there is room."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from agents.parts.memory import needed, room, shortage, total
from agents.parts.model import initial_weights
from agents.parts.recipes import Recipe
from agents.trainer.data.opening import open_corpus
from agents.trainer.devices import implementation_for, precision_for
from agents.trainer.learner import Learner
from agents.trainer.plan import Settings, make_plan
from agents.trainer.state import State
from schemas import train

_REASON = 500
"""Characters of an error's message that are published."""


def check_recipe(recipe: Recipe, device: str, cache: Path, settings: Settings) -> train.RecipeChecked:
    """Compare a recipe's need with the memory of `device`, and train it for a step where it fits."""
    there, need = room(device), needed(recipe)
    reason, loss, seconds = shortage(recipe, there), None, None
    fits = reason is None
    if fits:
        try:
            loss, seconds = one_step(recipe, device, cache, settings)
        except Exception as error:  # whatever the data, the compiler or the device say: it is the result
            reason = f"{type(error).__name__}: {error}"[:_REASON]
    return train.RecipeChecked(
        recipe=recipe.name,
        parameters=recipe.parameters,
        flops_per_token=recipe.flops_per_token,
        device=device,
        memory=train.Memory(
            weights=need.weights,
            gradients=need.gradients,
            moments=need.moments,
            activations=need.activations,
            checkpoint=need.checkpoint,
        ),
        needed=total(need, there),
        free=there.free,
        fits=fits,
        reason=reason or there.reason,
        loss=loss,
        seconds=seconds,
    )


def one_step(recipe: Recipe, device: str, cache: Path, settings: Settings) -> tuple[float, float]:
    """The loss of a run's first step, from the data that it would read, and its seconds with all that has to be compiled."""
    plan = make_plan(train.Start(recipe=recipe.name), msgspec.structs.replace(settings, accumulate=1))
    batch = open_corpus(plan, cache, lambda _: None).training_batch(0)
    implementation = implementation_for(device, precision_for(device, plan.hyper.precision), plan.threads)
    learner = Learner(plan.recipe, plan.hyper, implementation, State.begun(initial_weights(plan.recipe, plan.hyper.seed)))
    began = time.perf_counter()
    loss, _ = learner.step([batch], plan.hyper.learning_rate)
    return loss, time.perf_counter() - began

"""What a recipe would take here, and one real step of it where there is room."""

from __future__ import annotations

import time

from agents.parts.memory import needed, room, shortage, total
from agents.parts.recipes import Recipe
from agents.trainer.implementations import implementation_for
from agents.trainer.learner import Learner
from agents.trainer.plan import Settings, make_plan
from agents.trainer.sources import open_corpus
from schemas import train

_REASON = 500
"""Characters of an error's message that are published."""


def check_recipe(recipe: Recipe, device: str) -> train.RecipeChecked:
    """Compare a recipe's need with the memory of `device`, and train it for a step where it fits."""
    there, need = room(device), needed(recipe)
    reason, loss, seconds = shortage(recipe, there), None, None
    fits = reason is None
    if fits:
        try:
            loss, seconds = one_step(recipe, device)
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


def one_step(recipe: Recipe, device: str) -> tuple[float, float]:
    """The loss of a run's first step, from the data that it would read, and its seconds with all that has to be compiled."""
    plan = make_plan(train.Start(recipe=recipe.name), Settings())
    batch = open_corpus(plan).training_batch(0)
    learner = Learner(recipe, plan.hyper, implementation_for(device))
    began = time.perf_counter()
    loss, _ = learner.step(batch, plan.hyper.learning_rate)
    return loss, time.perf_counter() - began

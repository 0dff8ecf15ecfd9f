"""A whole decoder trains the same on the kernels as in plain tinygrad."""

from dataclasses import replace

import numpy as np
import pytest
from compiled import MICRO, hyperparameters, learner
from kernels import KERNELS, PLAIN, leaf
from numpy.typing import NDArray
from tinygrad.engine.jit import TinyJit
from tinygrad.helpers import Context
from tinygrad.tensor import Tensor

from agents.parts.model import Llama, initial_weights
from agents.parts.operations import Operations
from agents.parts.recipes import Recipe
from agents.trainer.devices import implementation_for
from agents.trainer.implementation import Implementation
from agents.trainer.kernels import implementation
from agents.trainer.learner import Learner
from agents.trainer.state import State

ODD = replace(MICRO, name="odd", layers=1, width=30, heads=3, kv_heads=1, ffn=37, vocabulary=51, context=35, batch=3)


def batch_of(recipe: Recipe, seed: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    rows = np.random.default_rng(seed).integers(0, recipe.vocabulary, (recipe.batch, recipe.context + 1)).astype(np.int32)
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])


def gradients_of(operations: Operations, recipe: Recipe) -> dict[str, NDArray[np.float32]]:
    """With the loss under its own name. The weights are large enough for every part to act."""
    generator = np.random.default_rng(7)
    weights = {name: array + 0.1 * generator.standard_normal(array.shape) for name, array in initial_weights(recipe, 0).items()}
    model = Llama(recipe, {name: array.astype(np.float32) for name, array in weights.items()}, operations)
    tokens, targets = map(Tensor, batch_of(recipe, 0))
    loss = model.loss(tokens, targets).backward()
    found = {name: weight.grad for name, weight in model.weights.items() if weight.grad is not None}
    loss.realize(*found.values())
    return {"loss": loss.numpy(), **{name: gradient.numpy() for name, gradient in found.items()}}


@pytest.mark.parametrize("recipe", [MICRO, ODD], ids=lambda recipe: recipe.name)
def test_loss_and_every_gradient_are_those_of_plain_tinygrad(recipe: Recipe) -> None:
    ours, theirs = gradients_of(KERNELS, recipe), gradients_of(PLAIN, recipe)

    assert ours.keys() == theirs.keys()
    assert len(ours) == 1 + len(initial_weights(recipe, 0))
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=name)


def losses(chosen: Implementation, recorded: bool = True) -> list[tuple[float, float]]:
    """And norms, over steps of which the second records its kernels, and the third and later ones replay them with other inputs."""
    trained = learner(hyperparameters(), implementation=chosen)
    with Context(JIT=int(recorded)):
        return [trained.step([batch_of(MICRO, seed)], 0.01) for seed in range(5)]


def test_replaying_a_step_is_doing_it() -> None:
    assert losses(implementation(2)) == losses(implementation(2), recorded=False)


def test_a_part_of_an_input_is_read_anew_each_time() -> None:
    gain = leaf(8)
    twice = TinyJit(lambda x: KERNELS.norm(KERNELS.norm(x[1:], gain, 1e-5), gain, 1e-5).realize())

    for seed in range(4):
        x = leaf(5, 8, seed=seed)
        expected = PLAIN.norm(PLAIN.norm(x[1:], gain, 1e-5), gain, 1e-5).numpy()
        np.testing.assert_allclose(twice(x).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_run_repeats_itself_to_the_last_bit_on_any_number_of_threads() -> None:
    assert losses(implementation(2)) == losses(implementation(2)) == losses(implementation(1)) == losses(implementation(3))


def test_the_cpu_device_computes_with_the_kernels() -> None:
    assert implementation_for("CPU").operations.product.func is KERNELS.product.func  # type: ignore[attr-defined]  # both are partials


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_does_not_hide_in_any_weight(value: float) -> None:
    """A run that diverges is stopped by its loss and its norm: one of them has to show it."""
    drawn = initial_weights(MICRO, 0)
    for name, array in drawn.items():
        spoilt = array.copy()
        spoilt.flat[3] = value
        trained = Learner(MICRO, hyperparameters(), implementation(2), State.begun({**drawn, name: spoilt}))
        loss, norm = trained.step([batch_of(MICRO, 0)], 0.01)
        assert not (np.isfinite(loss) and np.isfinite(norm)), name

"""AdamW, clipping and the schedule do what their formulas say."""

import math

import msgspec
import numpy as np
import pytest
from compiled import hyperparameters
from tinygrad.tensor import Tensor

from agents.trainer.optimizer import AdamW, Moments, update
from agents.trainer.schedule import learning_rate
from agents.trainer.state import State

GENERATOR = np.random.default_rng(0)
MATRIX, GAIN = GENERATOR.standard_normal((3, 4)), GENERATOR.standard_normal(5)
GRADIENTS = [(GENERATOR.standard_normal((3, 4)), GENERATOR.standard_normal(5)) for _ in range(4)]


def tensor(array: np.ndarray) -> Tensor:
    return Tensor(array.astype(np.float32)).realize()


def reference(weight: np.ndarray, gradients: list[np.ndarray], rates: list[float], decay: float) -> np.ndarray:
    """Algorithm 2 of Loshchilov and Hutter 2019, in float64."""
    hyper = hyperparameters()
    mean = square = np.zeros_like(weight)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        mean = hyper.beta1 * mean + (1 - hyper.beta1) * gradient
        square = hyper.beta2 * square + (1 - hyper.beta2) * gradient**2
        unbiased = mean / (1 - hyper.beta1**step), square / (1 - hyper.beta2**step)
        weight = weight - rate * (unbiased[0] / (np.sqrt(unbiased[1]) + hyper.epsilon) + decay * weight)
    return weight


def begun(**weights: Tensor) -> State:
    return State.begun({name: weight.numpy() for name, weight in weights.items()})


def stepped(gradients: list[np.ndarray], weights: list[Tensor], optimizer: AdamW, rate: float) -> float:
    """Take a step with these gradients; returns their norm."""
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = tensor(gradient)
    norm, changed = optimizer.update(optimizer.advance(rate))
    return float(norm.realize(*changed).item())


def test_adamw_follows_its_paper_and_decays_matrices_only() -> None:
    rates = [0.1, 0.2, 0.05, 0.1]
    hyper = msgspec.structs.replace(hyperparameters(), clip_norm=100.0)
    matrix, gain = tensor(MATRIX), tensor(GAIN)
    optimizer = AdamW({"matrix": matrix, "gain": gain}, begun(matrix=matrix, gain=gain), hyper, update)

    for gradients, rate in zip(GRADIENTS, rates, strict=True):
        stepped(list(gradients), [matrix, gain], optimizer, rate)

    decay = hyper.weight_decay
    np.testing.assert_allclose(matrix.numpy(), reference(MATRIX, [pair[0] for pair in GRADIENTS], rates, decay), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gain.numpy(), reference(GAIN, [pair[1] for pair in GRADIENTS], rates, 0.0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "clipped"), [(10.0, True), (0.01, False)])
def test_gradients_are_clipped_by_their_norm_over_all_weights(size: float, clipped: bool) -> None:
    """Seen in the mean of the first step, which is a tenth of the clipped gradient."""
    hyper = hyperparameters()
    weights = [tensor(MATRIX), tensor(GAIN)]
    gradients = [size * array for array in GRADIENTS[0]]
    moments = [Moments(weight=weight, mean=tensor(0 * weight.numpy()), square=tensor(0 * weight.numpy())) for weight in weights]

    norm, changed = update(moments, [tensor(gradient) for gradient in gradients], tensor(np.array([0.1, 1.0, 1.0])), hyper)

    expected = math.sqrt(sum((gradient**2).sum() for gradient in gradients))
    assert norm.realize(*changed).item() == pytest.approx(expected, rel=1e-5)
    for each, gradient in zip(moments, gradients, strict=True):
        reached = each.mean.numpy() / (1 - hyper.beta1)
        np.testing.assert_allclose(reached, gradient / expected if clipped else gradient, rtol=1e-4)


def test_a_weight_that_the_loss_does_not_need_is_named() -> None:
    head = tensor(MATRIX)
    optimizer = AdamW({"lm_head": head}, begun(lm_head=head), hyperparameters(), update)

    with pytest.raises(ValueError, match=r"lm_head has no gradient"):
        optimizer.update(optimizer.advance(0.1))


def test_the_rate_warms_up_linearly_and_falls_along_a_cosine_to_the_floor() -> None:
    hyper = hyperparameters(steps=1000, learning_rate=0.01)

    rates = [learning_rate(step, hyper) for step in range(1, 1001)]

    assert hyper.warmup_steps == 50
    assert rates[0] == pytest.approx(0.01 / 50)
    assert rates[24] == pytest.approx(0.005)
    assert rates[49] == max(rates) == pytest.approx(0.01)
    assert rates[524] == pytest.approx((0.01 + 0.001) / 2)
    assert rates[-1] == pytest.approx(0.001)
    assert rates[49:] == sorted(rates[49:], reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 9, 10])
def test_a_short_run_has_a_rate_for_every_step(steps: int) -> None:
    hyper = hyperparameters(steps=steps, learning_rate=0.01)

    assert all(0.001 <= learning_rate(step, hyper) <= 0.01 for step in range(1, steps + 1))

"""AdamW over a decoder's weights, with the global norm of their gradients clipped."""

from __future__ import annotations

from collections.abc import Iterable

from tinygrad.tensor import Tensor

from schemas.train import Hyperparameters


class AdamW:
    """AdamW (Loshchilov and Hutter 2019) with bias correction; only matrices decay, gains do not.

    What changes from step to step enters as the tensor that `advance` returns, so that a step is compiled once.
    """

    def __init__(self, weights: Iterable[Tensor], hyper: Hyperparameters) -> None:
        self._hyper = hyper
        self._steps = 0
        # Moments with buffers of their own from the start: as constants they would make the first step another program than the second.
        self._state = [(weight, _zeros(weight), _zeros(weight)) for weight in weights]

    def advance(self, learning_rate: float) -> Tensor:
        """Count a step. Returns what `update` needs for it: learning rate and both bias corrections [3]."""
        self._steps += 1
        corrections = (1 - self._hyper.beta1**self._steps, 1 - self._hyper.beta2**self._steps)
        return Tensor([learning_rate, *corrections]).realize()

    def update(self, now: Tensor) -> list[Tensor]:
        """The weights and moments after this step; they change when these tensors are realised."""
        hyper, changed = self._hyper, []
        rate, correction1, correction2 = now[0], now[1], now[2]
        for weight, mean, square in self._state:
            gradient = gradient_of(weight)
            mean.assign(hyper.beta1 * mean + (1 - hyper.beta1) * gradient)
            square.assign(hyper.beta2 * square + (1 - hyper.beta2) * gradient.square())
            direction = (mean / correction1) / ((square / correction2).sqrt() + hyper.epsilon)
            decay = hyper.weight_decay if weight.ndim > 1 else 0.0
            weight.assign(weight.detach() - rate * (direction + decay * weight.detach()))
            changed += [mean, square, weight]
        return changed


def clip_gradients(weights: Iterable[Tensor], limit: float) -> Tensor:
    """Scale the gradients so that their norm, over all weights together, is at most `limit`. Returns the norm before."""
    every = list(weights)
    for weight in every:
        weight.grad = gradient_of(weight).contiguous()
    squares = [gradient_of(weight).square().sum() for weight in every]
    norm = Tensor.stack(*squares).sum().sqrt().contiguous()
    scale = (limit / (norm + 1e-6)).minimum(1.0).contiguous()
    for weight in every:
        weight.grad = gradient_of(weight) * scale
    return norm


def gradient_of(weight: Tensor) -> Tensor:
    """The gradient that backward left. Raises ValueError where there is none."""
    if weight.grad is None:
        raise ValueError(f"a weight of shape {weight.shape} has no gradient: the loss does not depend on it")
    return weight.grad


def _zeros(weight: Tensor) -> Tensor:
    return Tensor.zeros(*weight.shape).contiguous().realize()

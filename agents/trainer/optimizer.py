"""AdamW over a model's weights, with the global norm of their gradients clipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tinygrad.dtype import dtypes
from tinygrad.tensor import Tensor

from agents.trainer.inputs import Input
from agents.trainer.state import State
from schemas.train import Hyperparameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """A weight, the running means of its gradient and of its square, and whether it decays. All three change in place."""

    weight: Tensor
    mean: Tensor
    square: Tensor

    @property
    def decays(self) -> bool:
        """Matrices do, gains do not."""
        return self.weight.ndim > 1


class Update(Protocol):
    def __call__(
        self, moments: Sequence[Moments], gradients: Sequence[Tensor], now: Tensor, hyper: Hyperparameters
    ) -> tuple[Tensor, list[Tensor]]:
        """One step of AdamW with `gradients`, one for each of `moments`.

        The gradients are clipped so that their norm over all weights is at most `clip_norm`. `now` [3] has the learning rate and
        both bias corrections. Returns the norm before clipping, and the tensors whose realisation makes the change.
        """


class AdamW:
    """AdamW (Loshchilov and Hutter 2019) with bias correction; only matrices decay, gains do not.

    What changes from step to step enters as the tensor that `advance` returns, so that a step is compiled once.
    """

    def __init__(self, weights: dict[str, Tensor], state: State, hyper: Hyperparameters, update: Update) -> None:
        self._hyper = hyper
        self._update = update
        self._steps = state.steps
        self._now = Input((3,), dtypes.float32)
        # Moments with buffers of their own from the start: as constants they would make the first step another program than the second.
        self._moments = {
            name: Moments(weight=weight, mean=Tensor(state.means[name]).realize(), square=Tensor(state.squares[name]).realize())
            for name, weight in weights.items()
        }

    def state(self) -> State:
        """Copies of the weights and of what is known of their gradients."""
        weights, means, squares = (
            {name: np.array(getattr(each, part).numpy()) for name, each in self._moments.items()} for part in ("weight", "mean", "square")
        )
        return State(weights=weights, means=means, squares=squares, steps=self._steps)

    def advance(self, learning_rate: float) -> Tensor:
        """Count a step. Returns what `update` needs for it: learning rate and both bias corrections [3]."""
        self._steps += 1
        corrections = (1 - self._hyper.beta1**self._steps, 1 - self._hyper.beta2**self._steps)
        return self._now.filled(np.array([learning_rate, *corrections], np.float32))

    def update(self, now: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Learn from the weights' gradients; see Update. Raises ValueError where a weight has none."""
        gradients = [gradient_of(name, each.weight) for name, each in self._moments.items()]
        return self._update(list(self._moments.values()), gradients, now, self._hyper)


def update(moments: Sequence[Moments], gradients: Sequence[Tensor], now: Tensor, hyper: Hyperparameters) -> tuple[Tensor, list[Tensor]]:
    """An Update in plain tinygrad."""
    rate, correction1, correction2 = now[0], now[1], now[2]
    kept = [gradient.contiguous() for gradient in gradients]
    norm = Tensor.stack(*(gradient.square().sum() for gradient in kept)).sum().sqrt().contiguous()
    scale = (hyper.clip_norm / (norm + 1e-6)).minimum(1.0).contiguous()
    changed = []
    for each, unclipped in zip(moments, kept, strict=True):
        gradient, weight = unclipped * scale, each.weight
        each.mean.assign(hyper.beta1 * each.mean + (1 - hyper.beta1) * gradient)
        each.square.assign(hyper.beta2 * each.square + (1 - hyper.beta2) * gradient.square())
        direction = (each.mean / correction1) / ((each.square / correction2).sqrt() + hyper.epsilon)
        decay = hyper.weight_decay if each.decays else 0.0
        weight.assign(weight.detach() - rate * (direction + decay * weight.detach()))
        changed += [each.mean, each.square, weight]
    return norm, changed


def gradient_of(name: str, weight: Tensor) -> Tensor:
    """The gradient that backward left. Raises ValueError where there is none."""
    if weight.grad is None:
        raise ValueError(f"the weight {name} has no gradient: the loss does not depend on it")
    return weight.grad

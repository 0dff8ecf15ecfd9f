"""A model with its optimiser: one step of training, the loss on given examples, and logits to sample from, each compiled once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tinygrad.dtype import DTYPES_DICT
from tinygrad.engine.jit import TinyJit
from tinygrad.helpers import Context
from tinygrad.tensor import Tensor

from agents.parts.recipes import Recipe
from agents.parts.vision import Vlm, model_for
from agents.trainer.data.corpus import Batch
from agents.trainer.implementation import Implementation
from agents.trainer.inputs import Input
from agents.trainer.optimizer import AdamW, gradient_of
from agents.trainer.state import State
from schemas.train import Hyperparameters


class Learner:
    """The weights of one run, trained in place, beginning with `state`."""

    def __init__(self, recipe: Recipe, hyper: Hyperparameters, implementation: Implementation, state: State) -> None:
        self.recipe = recipe
        self._model = model_for(recipe, state.weights, implementation.operations)
        self._optimizer = AdamW(self._model.weights, state, hyper, implementation.update)
        self._inputs: dict[tuple[int, tuple[int, ...]], Input] = {}  # by place among a batch's arrays, and shape
        self._compiled_step = TinyJit(self._step)
        self._compiled_gradients = TinyJit(self._add_gradients)
        self._compiled_update = TinyJit(self._update)
        self._compiled_loss = TinyJit(self._loss)
        self._compiled_right = TinyJit(self._right)
        self._compiled_logits = TinyJit(self._logits)
        self._accumulate = hyper.accumulate
        self._sums: dict[str, Tensor] = {}
        if hyper.accumulate > 1:
            self._sums = {name: Tensor.zeros(*weight.shape).contiguous().realize() for name, weight in self._model.weights.items()}

    def step(self, batches: Sequence[Batch], learning_rate: float) -> tuple[float, float]:
        """Learn from the mean gradient of `batches`. Returns the loss in nats per token and the gradient's norm, both from before the step.

        They are as many as the run accumulates; of several only one is in memory at a time.
        """
        with _context(training=True):
            now = self._optimizer.advance(learning_rate)
            if not self._sums:
                loss, norm = self._compiled_step(*self._filled(*batches), now)
                return float(loss.item()), float(norm.item())
            losses = [self._compiled_gradients(*self._filled(batch)).item() for batch in batches]
            return float(np.mean(losses)), float(self._compiled_update(now).item())

    def loss(self, batches: Iterable[Batch]) -> float:
        """The mean loss over `batches` in nats per token, without learning from them."""
        with _context(training=False):
            return float(np.mean([self._compiled_loss(*self._filled(batch)).item() for batch in batches]))

    def accuracy(self, batches: Iterable[Batch]) -> float:
        """The share of the examples whose whole text the model gets right, for a model that sees."""
        with _context(training=False):
            return float(np.mean([self._compiled_right(*self._filled(batch)).numpy() for batch in batches]))

    def logits(self, *example: NDArray[Any]) -> NDArray[np.float32]:
        """Logits [context, vocabulary] after each of the tokens [context], which stand behind a picture where the model sees."""
        with _context(training=False):
            return np.array(self._compiled_logits(*self._filled(tuple(part[None] for part in example))).numpy()[0])

    def state(self) -> State:
        """A copy of all that was learnt."""
        return self._optimizer.state()

    def _filled(self, batch: Batch) -> list[Tensor]:
        """The batch as tensors, which hold another one after the next call."""
        return [self._input(place, array).filled(array) for place, array in enumerate(batch)]

    def _input(self, place: int, array: NDArray[Any]) -> Input:
        key = place, array.shape
        if key not in self._inputs:
            self._inputs[key] = Input(array.shape, DTYPES_DICT[array.dtype.name])
        return self._inputs[key]

    def _step(self, *batch_and_now: Tensor) -> tuple[Tensor, Tensor]:
        *batch, now = batch_and_now
        loss = self._backward(*batch)
        norm, changed = self._optimizer.update(now)
        loss.realize(norm, *changed)
        return loss, norm

    def _add_gradients(self, *batch: Tensor) -> Tensor:
        loss = self._backward(*batch)
        for name, total in self._sums.items():
            total.assign(total + gradient_of(name, self._model.weights[name]))
        return loss.realize(*self._sums.values())

    def _update(self, now: Tensor) -> Tensor:
        for name, total in self._sums.items():
            self._model.weights[name].grad = total / self._accumulate
        norm, changed = self._optimizer.update(now)
        norm.realize(*changed)
        Tensor.realize(*(total.assign(total.zeros_like()) for total in self._sums.values()))
        return norm

    def _backward(self, *batch: Tensor) -> Tensor:
        for weight in self._model.weights.values():
            weight.grad = None
        return self._model.loss(*batch).backward()

    def _loss(self, *batch: Tensor) -> Tensor:
        return self._model.loss(*batch).realize()

    def _right(self, *batch: Tensor) -> Tensor:
        if not isinstance(self._model, Vlm):
            raise TypeError(f"a model of recipe {self.recipe.name} writes text without an end: there is none to get right")
        return self._model.right(*batch).realize()

    def _logits(self, *example: Tensor) -> Tensor:
        return self._model(*example).realize()


def _context(training: bool) -> Context:
    # Compiling stays in this thread: worker processes were hardly faster, and they would outlive a killed agent.
    return Context(TRAINING=int(training), PARALLEL=0)

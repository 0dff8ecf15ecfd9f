"""A model with its optimiser: one step of training, the loss on given examples, and logits to sample from, each compiled once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tinygrad.engine.jit import TinyJit
from tinygrad.helpers import Context
from tinygrad.tensor import Tensor

from agents.parts.model import initial_weights
from agents.parts.recipes import Recipe
from agents.parts.vision import Vlm, model_for
from agents.trainer.corpus import Batch
from agents.trainer.implementations import Implementation
from agents.trainer.optimizer import AdamW
from schemas.train import Hyperparameters


class Learner:
    """The weights of one run, trained in place."""

    def __init__(self, recipe: Recipe, hyper: Hyperparameters, implementation: Implementation) -> None:
        self.recipe = recipe
        self._model = model_for(recipe, initial_weights(recipe, hyper.seed), implementation.operations)
        self._optimizer = AdamW(self._model.weights, hyper, implementation.update)
        self._compiled_step = TinyJit(self._step)
        self._compiled_loss = TinyJit(self._loss)
        self._compiled_right = TinyJit(self._right)
        self._compiled_logits = TinyJit(self._logits)

    def step(self, batch: Batch, learning_rate: float) -> tuple[float, float]:
        """Learn from one batch. Returns the loss in nats per token and the gradients' norm, both from before the step."""
        with _context(training=True):
            loss, norm = self._compiled_step(*_tensors(batch), self._optimizer.advance(learning_rate))
            return float(loss.item()), float(norm.item())

    def loss(self, batches: Iterable[Batch]) -> float:
        """The mean loss over `batches` in nats per token, without learning from them."""
        with _context(training=False):
            return float(np.mean([self._compiled_loss(*_tensors(batch)).item() for batch in batches]))

    def accuracy(self, batches: Iterable[Batch]) -> float:
        """The share of the examples whose whole text the model gets right, for a model that sees."""
        with _context(training=False):
            return float(np.mean([self._compiled_right(*_tensors(batch)).numpy() for batch in batches]))

    def logits(self, *example: NDArray[Any]) -> NDArray[np.float32]:
        """Logits [context, vocabulary] after each of the tokens [context], which stand behind a picture where the model sees."""
        with _context(training=False):
            return np.array(self._compiled_logits(*_tensors(tuple(part[None] for part in example))).numpy()[0])

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the weights, by Hugging Face's names."""
        return {name: np.array(weight.numpy()) for name, weight in self._model.weights.items()}

    def _step(self, *batch_and_now: Tensor) -> tuple[Tensor, Tensor]:
        *batch, now = batch_and_now
        for weight in self._model.weights.values():
            weight.grad = None
        loss = self._model.loss(*batch).backward()
        norm, changed = self._optimizer.update(now)
        loss.realize(norm, *changed)
        return loss, norm

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


def _tensors(batch: Batch) -> list[Tensor]:
    return [Tensor(part).realize() for part in batch]

"""A decoder with its optimiser: one step of training, the loss on given text, and logits to sample from, each compiled once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from tinygrad.dtype import dtypes
from tinygrad.engine.jit import TinyJit
from tinygrad.helpers import Context
from tinygrad.tensor import Tensor

from agents.parts.model import Llama, initial_weights
from agents.parts.recipes import Recipe
from agents.trainer.implementations import Implementation
from agents.trainer.inputs import Input
from agents.trainer.optimizer import AdamW
from schemas.train import Hyperparameters

Batch = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Tokens [batch, context] and the token that follows each."""


class Learner:
    """The weights of one run, trained in place."""

    def __init__(self, recipe: Recipe, hyper: Hyperparameters, implementation: Implementation) -> None:
        self.recipe = recipe
        self._model = Llama(recipe, initial_weights(recipe, hyper.seed), implementation.operations)
        self._optimizer = AdamW(self._model.weights, hyper, implementation.update)
        self._tokens, self._targets = (Input((recipe.batch, recipe.context), dtypes.int32) for _ in range(2))
        self._prompt = Input((1, recipe.context), dtypes.int32)
        self._compiled_step = TinyJit(self._step)
        self._compiled_loss = TinyJit(self._loss)
        self._compiled_logits = TinyJit(self._logits)

    def step(self, batch: Batch, learning_rate: float) -> tuple[float, float]:
        """Learn from one batch. Returns the loss in nats per token and the gradients' norm, both from before the step."""
        with _context(training=True):
            loss, norm = self._compiled_step(*self._filled(batch), self._optimizer.advance(learning_rate))
            return float(loss.item()), float(norm.item())

    def loss(self, batches: Iterable[Batch]) -> float:
        """The mean loss over `batches` in nats per token, without learning from them."""
        with _context(training=False):
            return float(np.mean([self._compiled_loss(*self._filled(batch)).item() for batch in batches]))

    def logits(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits [context, vocabulary] after each of the tokens [context]."""
        with _context(training=False):
            return np.array(self._compiled_logits(self._prompt.filled(tokens[None])).numpy()[0])

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the weights, by Hugging Face's names."""
        return {name: np.array(weight.numpy()) for name, weight in self._model.weights.items()}

    def _filled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens, targets = batch
        return self._tokens.filled(tokens), self._targets.filled(targets)

    def _step(self, tokens: Tensor, targets: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        for weight in self._model.weights.values():
            weight.grad = None
        loss = self._model.loss(tokens, targets).backward()
        norm, changed = self._optimizer.update(now)
        loss.realize(norm, *changed)
        return loss, norm

    def _loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        return self._model.loss(tokens, targets).realize()

    def _logits(self, tokens: Tensor) -> Tensor:
        return self._model(tokens).realize()


def _context(training: bool) -> Context:
    # Compiling stays in this thread: worker processes were hardly faster, and they would outlive a killed agent.
    return Context(TRAINING=int(training), PARALLEL=0)

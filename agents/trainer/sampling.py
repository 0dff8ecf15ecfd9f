"""Text from a decoder: one token after the other, drawn from its logits by a seeded generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Logits = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Logits [context, vocabulary] after each of the tokens [context]."""


def generate(logits: Logits, context: int, prompt: Sequence[int], temperature: float, seed: int) -> Iterator[int]:
    """Endless tokens after `prompt`, of which the last `context` count. Temperature 0 takes the likeliest each time.

    Raises ValueError for an empty prompt: a decoder says what follows something.
    """
    if not prompt:
        raise ValueError("a prompt of no tokens: nothing can follow it")
    generator = np.random.default_rng(seed)
    text = list(prompt[-context:])
    while True:
        window = np.zeros(context, np.int32)  # later positions do not act on earlier ones, so zeros may stand there
        window[: len(text)] = text
        token = draw(logits(window)[len(text) - 1], temperature, generator)
        yield token
        text = [*text, token][-context:]


def draw(logits: NDArray[np.float32], temperature: float, generator: np.random.Generator) -> int:
    """One token, each as likely as the softmax of logits / temperature says."""
    if temperature == 0:
        return int(logits.argmax())
    scaled = (logits.astype(np.float64) - logits.max()) / temperature
    shares = np.exp(scaled)
    return int(generator.choice(len(shares), p=shares / shares.sum()))

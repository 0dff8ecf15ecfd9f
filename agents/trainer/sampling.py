"""Text from a decoder: one byte after the other, drawn from its logits by a seeded generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Logits = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Logits [context, vocabulary] after each of the tokens [context]."""


def generate(logits: Logits, context: int, prompt: bytes, temperature: float, seed: int) -> Iterator[int]:
    """Endless tokens after `prompt`, of which the last `context` count. Temperature 0 takes the likeliest each time."""
    generator = np.random.default_rng(seed)
    text = list((prompt or b"\n")[-context:])  # a decoder says what follows something: nothing at all is a new line
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

"""Tokens from a decoder, one after the other, as long as somebody asks for them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.parts.generation.decoder import Tokens
from agents.parts.generation.errors import BadRequest
from agents.parts.generation.sampling import Sampling


class Length(Protocol):
    """What a decoder has read: how many tokens of each text."""

    @property
    def length(self) -> int: ...


C = TypeVar("C", bound=Length)


class Reads(Protocol[C]):
    """What text is written with: the Decoder of this machine, or one that asks others. It reads at most `context` tokens."""

    @property
    def context(self) -> int: ...

    @property
    def end(self) -> int | None: ...

    def empty(self, batch: int = 1) -> C: ...

    def read(self, tokens: Tokens, cache: C) -> tuple[NDArray[np.float32], C]: ...


def generate(decoder: Reads[C], prompts: Tokens, sampling: Sampling) -> Generator[Tokens, None, None]:
    """Endless tokens [batch] after prompts [batch, length], of which the last `context` count. Closing the iterator ends it.

    Behind the cache each token costs one run over itself. A text that outgrows the context goes on from its last `context` tokens, as the
    trainer's samples do: they move to other positions with every token, so from there on each costs a run over all of them.
    Raises BadRequest for prompts of no tokens, and as Decoder.read does.
    """
    if prompts.ndim != 2 or prompts.size == 0:
        raise BadRequest(f"prompts of shape {prompts.shape}: a decoder says what follows something")
    text = prompts[:, -decoder.context :].astype(np.int64)
    generators = [sampling.generator(row) for row in range(len(text))]
    new, cache = text, decoder.empty(len(text))
    while True:
        logits, cache = decoder.read(new, cache)
        drawn = np.array([sampling.draw(row, generator) for row, generator in zip(logits, generators, strict=True)], np.int64)
        yield drawn
        text = np.concatenate([text, drawn[:, None]], 1)[:, -decoder.context :]
        if cache.length < decoder.context:
            new = drawn[:, None]
        else:
            new, cache = text, decoder.empty(len(text))

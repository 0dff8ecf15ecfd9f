"""Tokens from a decoder, one after the other, as long as somebody asks for them."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from agents.parts.generation.decoder import Decoder, Tokens
from agents.parts.generation.errors import BadRequest
from agents.parts.generation.sampling import Sampling


def generate(decoder: Decoder, prompts: Tokens, sampling: Sampling) -> Generator[Tokens, None, None]:
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

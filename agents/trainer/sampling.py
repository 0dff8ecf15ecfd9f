"""Text from a decoder: one token after the other, drawn from its logits by a seeded generator."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.trainer.data.corpus import Corpus
from bus.errors import CommandRefused
from schemas import train

Logits = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Logits [context, vocabulary] after each of the tokens [context]."""


def written(
    logits: Callable[..., NDArray[np.float32]],
    corpus: Corpus,
    request: train.Sample,
    context: int,
    step: int,
    may_go_on: Callable[[], bool],
) -> train.Sampled:
    """What the weights of `step` write behind the prompt of `request`, up to the end of a text or its length, for as long as they may.

    `logits` takes what stands before the text, then the tokens [context]. Raises CommandRefused for a picture that is not there.
    """
    prompt = corpus.prompt if request.prompt is None else request.prompt
    shown = corpus.shown(request.seed if request.picture is None else request.picture)
    if request.picture not in (None, shown.picture):
        raise CommandRefused("bad_request", f"there is no picture {request.picture} among what is held out")
    tokens = generate(functools.partial(logits, *shown.inputs), context, corpus.encode(prompt), request.temperature, request.seed)
    taken = itertools.takewhile(lambda token: token != corpus.end and may_go_on(), itertools.islice(tokens, request.length))
    return train.Sampled(
        step=step,
        prompt=prompt,
        text=corpus.decode(list(taken)),
        temperature=request.temperature,
        seed=request.seed,
        picture=shown.picture,
        caption=shown.caption,
    )


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

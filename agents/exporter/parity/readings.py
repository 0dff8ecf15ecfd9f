"""What a backend makes of the inputs, and how that is got from a function that computes logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from agents.exporter.parity.measures import Floats, Nats, margins, nats
from agents.exporter.parity.prompts import Examples, Inputs, Tokens
from schemas.export import Reads

Logits = Callable[[Examples], Floats]
"""Logits [n, length, vocabulary] behind each token of examples [n, length]: at most as many as a batch has, and as long."""


class DidNotRun(RuntimeError):
    """A backend cannot run here; the message says why, and what would mend it. This says nothing of the export."""


class Broke(RuntimeError):
    """A backend began to run the export and failed, as any exception but DidNotRun says too; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a backend computed.

    `logits` [rows, length, vocabulary] of the prompts; `behind_cache` those of their last positions once more, read behind what a cache
    kept of the tokens before, null where the backend keeps none. `continuations` [rows, continued], found one by one with a cache
    (`cached`) or from the whole text each time; `margins` of that shape, of who reads the whole text, say by how much each one's logit is
    above the second largest. `heldout` is null where there is no held-out text.
    """

    logits: Floats
    continuations: Tokens
    cached: bool
    heldout: Nats | None
    margins: Floats | None = None
    behind_cache: Floats | None = None
    note: str | None = None

    @property
    def perplexity(self) -> float | None:
        return self.heldout.perplexity if self.heldout else None

    @property
    def cache_max_abs(self) -> float | None:
        """The largest difference that the cache makes; null where there is none, or it is no finite number."""
        if self.behind_cache is None:
            return None
        largest = float(np.abs(self.behind_cache - self.logits[:, -self.behind_cache.shape[1] :]).max())
        return largest if math.isfinite(largest) else None

    def beside(self, reference: Reading) -> Iterator[tuple[Floats, Floats]]:
        """The logits of each row and the reference's, and again those that were read behind a cache."""
        yield from zip(self.logits, reference.logits, strict=True)
        if self.behind_cache is not None:
            yield from zip(self.behind_cache, reference.logits[:, -self.behind_cache.shape[1] :], strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A program on a device, and what of an export it reads. `run` raises whatever keeps it from running.

    `version` is null where it is not installed.
    """

    name: str
    reads: Reads
    version: str | None
    run: Callable[[Inputs], Reading]


def heldout_nats(logits: Logits, inputs: Inputs) -> Nats | None:
    """The cross-entropy of the held-out text, a batch at a time."""
    if inputs.heldout is None or inputs.targets is None:
        return None
    total, step = Nats(), inputs.size.rows
    for start in range(0, len(inputs.targets), step):
        total += nats(logits(inputs.heldout.rows(start, start + step)), inputs.targets[start : start + step])
    return total


@dataclass(frozen=True, slots=True)
class Recomputed:
    """`logits`, `continuations` and `margins`, as a Reading has them."""

    logits: Floats
    continuations: Tokens
    margins: Floats


def recomputed(logits: Logits, inputs: Inputs) -> Recomputed:
    """Logits of the prompts and what follows them, the likeliest token each time, from a program that reads the whole text each time.

    Later positions do not act on earlier ones, so zeros may stand where the text is still to come.
    """
    size, images = inputs.size, inputs.prompts.images
    text = np.pad(inputs.prompts.tokens, ((0, 0), (0, size.continued)))
    first = found = logits(Examples(tokens=text, images=images))
    above: list[Floats] = []
    for place in range(size.length, size.window):
        if above:
            found = logits(Examples(tokens=text, images=images))
        text[:, place] = found[:, place - 1].argmax(-1)
        above.append(margins(found[:, place - 1]))
    return Recomputed(first[:, : size.length], text[:, size.length :], np.stack(above, axis=1))


def filled(examples: Examples, inputs: Inputs) -> Examples:
    """The same examples in a whole batch, behind which zeros stand: what is compiled takes one shape."""
    rows = inputs.size.rows - len(examples.tokens)
    tokens = np.pad(examples.tokens, ((0, rows), (0, inputs.size.window - examples.tokens.shape[1])))
    images = examples.images
    return Examples(tokens=tokens, images=None if images is None else np.pad(images, ((0, rows), *[(0, 0)] * 3)))

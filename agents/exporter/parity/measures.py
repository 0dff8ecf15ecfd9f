"""How far two readings of the same text are apart. Sums are float64; what is no finite number is None."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.exporter.parity.prompts import Tokens
from agents.parts.targets import IGNORED

HIGHEST = 700.0
"""Nats per token whose exponential is still a float64."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Of logits from those of the reference: largest and mean absolute difference, mean KL in nats, and the share of equal choices."""

    max_abs: float | None
    mean_abs: float | None
    kl: float | None
    top1: float | None


UNKNOWN = Divergence(max_abs=None, mean_abs=None, kl=None, top1=None)


@dataclass(frozen=True, slots=True)
class Nats:
    """Cross-entropy, summed up over so many targets."""

    total: float = 0.0
    targets: int = 0

    def __add__(self, other: Nats) -> Nats:
        return Nats(self.total + other.total, self.targets + other.targets)

    @property
    def perplexity(self) -> float | None:
        """None where it is no finite number."""
        mean = self.total / self.targets if self.targets else math.nan
        return math.exp(mean) if mean < HIGHEST else None


def divergence(pairs: Iterable[tuple[Floats, Floats]]) -> Divergence:
    """Over all positions of `pairs`: logits [length, vocabulary], and the reference's. Unless all are finite numbers nothing is known."""
    found = [_of_positions(*pair) for pair in pairs]
    if None in found:
        return UNKNOWN
    positions, largest, *means = np.transpose([each for each in found if each])
    mean_abs, kl, top1 = (float(np.average(each, weights=positions)) for each in means)
    return Divergence(max_abs=float(largest.max()), mean_abs=mean_abs, kl=kl, top1=top1)


def nats(logits: Floats, targets: Tokens) -> Nats:
    """The cross-entropy of targets [rows, length], but for those that are IGNORED, given logits [rows, length, vocabulary]."""
    return sum((_of_targets(*pair) for pair in zip(logits, targets, strict=True)), Nats())


def log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:  # Any: every float
    """Over the last axis."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted


def same_rows(tokens: Tokens, reference: Tokens, margins: Floats, tie: float) -> float:
    """The share of rows [rows, length] that are the same, or part where the reference's `margins` [rows, length] are below `tie`.

    What follows such a place is another text. Raises ValueError for rows of another shape.
    """
    if tokens.shape != reference.shape:
        raise ValueError(f"tokens of shape {tokens.shape}: the reference's have {reference.shape}")
    other = tokens != reference
    first = other.argmax(-1)[:, None]
    parted_at_a_tie = np.take_along_axis(margins, first, -1)[:, 0] < tie
    return float((~other.any(-1) | parted_at_a_tie).mean())


def margins(logits: Floats) -> Floats:
    """By how much the likeliest logit is above the second likeliest, over the last axis. No number where one of them is none."""
    second, likeliest = np.moveaxis(np.partition(logits, -2, axis=-1)[..., -2:], -1, 0)
    above: Floats = likeliest - second
    return above


def change(perplexity: float | None, reference: float | None) -> float | None:
    """Relative to the reference's; None where one is not known."""
    return None if perplexity is None or reference is None else perplexity / reference - 1


def _of_positions(logits: Floats, reference: Floats) -> tuple[int, float, float, float, float] | None:
    """How many they are, and the figures over them: only so much is in memory in float64."""
    if logits.shape != reference.shape:
        raise ValueError(f"logits of shape {logits.shape}: the reference's have {reference.shape}")
    if not (np.isfinite(logits).all() and np.isfinite(reference).all()):
        return None
    difference = np.abs(logits.astype(np.float64) - reference)
    ours, theirs = log_softmax(logits), log_softmax(reference)
    kl = float((np.exp(theirs) * (theirs - ours)).sum(-1).mean())
    same = float((logits.argmax(-1) == reference.argmax(-1)).mean())
    return len(logits), float(difference.max()), float(difference.mean()), max(kl, 0.0), same  # rounding may leave a KL a little below 0


def _of_targets(logits: Floats, targets: Tokens) -> Nats:
    """Of one row."""
    (places,) = np.nonzero(targets != IGNORED)
    return Nats(-float(log_softmax(logits[places])[np.arange(len(places)), targets[places]].sum()), len(places))

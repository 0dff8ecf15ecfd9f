"""How a token is drawn from a model's logits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.parts.external_data import BadModel
from agents.parts.generation.errors import BadRequest

Shares = NDArray[np.float64]
"""The probability of each token [vocabulary]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Temperature 0 takes the likeliest token, of equal ones the first. `top_p` leaves the likeliest that together have this probability.

    Raises BadRequest for numbers that say nothing.
    """

    temperature: float
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise BadRequest(f"temperature is {self.temperature}: want 0 or more")
        if not 0 <= self.top_p <= 1:
            raise BadRequest(f"top_p is {self.top_p}: want 0 to 1")
        if self.seed < 0:
            raise BadRequest(f"seed is {self.seed}: want 0 or more")

    def generator(self, row: int) -> np.random.Generator:
        """What row `row` of a batch draws with: the seed of each is one more, so that each is the text that it would be alone."""
        return np.random.default_rng(self.seed + row)

    def draw(self, logits: NDArray[np.float32], generator: np.random.Generator) -> int:
        """A token for logits [vocabulary]. Raises BadModel where they are no numbers."""
        likeliest = int(logits.argmax())  # which is the first NaN where there is one
        if not math.isfinite(logits[likeliest]):
            raise BadModel("the model's logits are no numbers: its weights are broken")
        if self.temperature == 0:
            return likeliest
        shares = nucleus(softmax(logits, self.temperature), self.top_p)
        return int(generator.choice(len(shares), p=shares))


def softmax(logits: NDArray[np.float32], temperature: float) -> Shares:
    """exp(logits / temperature), in shares of their sum."""
    with np.errstate(over="ignore"):  # at a tiny temperature all but the likeliest may be infinitely unlikely
        scaled = (logits.astype(np.float64) - logits.max()) / temperature
    powers = np.exp(scaled)
    shares: Shares = powers / powers.sum()
    return shares


def nucleus(shares: Shares, top_p: float) -> Shares:
    """The shares of the fewest tokens that together have at least `top_p`, at least of one, as shares of their sum; all others get 0.

    Of equally likely tokens the first stay. Source: Holtzman et al. 2020, section 3.1.
    """
    if top_p == 1:
        return shares
    order = np.argsort(-shares, kind="stable")
    count = int(np.searchsorted(np.cumsum(shares[order]), top_p)) + 1
    kept = np.zeros_like(shares)
    kept[order[:count]] = shares[order[:count]]
    kept /= kept.sum()
    return kept

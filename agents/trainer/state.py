"""All that a run of training has learnt: what a checkpoint holds, and a run begins or goes on with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]
"""Arrays by Hugging Face's names of the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Weights after `steps` steps, with AdamW's means of each gradient and of its square."""

    weights: Weights
    means: Weights
    squares: Weights
    steps: int = 0

    @classmethod
    def begun(cls, weights: Weights) -> State:
        """What the first step starts from: nothing is known of the gradients."""
        means, squares = ({name: np.zeros_like(array) for name, array in weights.items()} for _ in range(2))
        return cls(weights=weights, means=means, squares=squares)
